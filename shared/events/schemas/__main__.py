"""`python -m shared.events.schemas` writes the schema files anew."""

import sys

from shared.events.schemas import FOLDER, write_all

changed = write_all()
sys.stdout.write(f"{FOLDER}: {', '.join(changed) or 'nothing to change'}\n")
