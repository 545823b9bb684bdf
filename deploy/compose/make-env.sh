#!/bin/sh
# Writes .env for docker-compose.yml: random secrets (readable by you only) and the ports on 127.0.0.1.
#
#   deploy/compose/make-env.sh [--file .env] [--project pawl] [--first-port 14000]
#
# A file that is there is never touched: its secrets belong to the data in the volumes. In production the same
# variables come from a store of secrets; nothing here is made for that.
set -eu
cd "$(dirname "$0")/../.."

file=.env project=pawl first_port=14000
while [ $# -gt 0 ]; do
  case "$1" in
    --file) file=$2 ;;
    --project) project=$2 ;;
    --first-port) first_port=$2 ;;
    *) echo "usage: $0 [--file .env] [--project pawl] [--first-port 14000]" >&2; exit 2 ;;
  esac
  shift 2
done

if [ -e "$file" ]; then
  echo "$file is there already and is kept: its secrets belong to the data in the volumes." >&2
  exit 0
fi
umask 077
python3 - "$project" "$first_port" >"$file.new" <<'PYTHON'
import base64, hmac, secrets, sys

project, first = sys.argv[1], int(sys.argv[2])
services = ("orders", "serials", "refunds", "invoices")
administrator = secrets.token_urlsafe(32)


def key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


# As `pawl migrate` derives them (ops/provision.py), so that it and the services agree without a shared file.
def password(role):
    digest = hmac.digest(administrator.encode(), f"password of {role}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:24]).decode()


ports = {service: first + 2 + number for number, service in enumerate(services)}
urls = ",".join(f"{service}=http://127.0.0.1:{port}" for service, port in ports.items())
print(f"""\
# Made by deploy/compose/make-env.sh for docker-compose.yml. Keep it secret, and keep it with the volumes.
COMPOSE_PROJECT_NAME={project}

# Ports on 127.0.0.1
PAWL_KAFKA_PORT={first}
PAWL_POSTGRES_PORT={first + 1}""")
for service, port in ports.items():
    print(f"PAWL_{service.upper()}_PORT={port}")
print(f"""
# The database: its administrator, and one role for each service
PAWL_POSTGRES_PASSWORD={administrator}""")
for service in services:
    print(f"PAWL_{service.upper()}_PASSWORD={password(f'pawl_{service}')}")
print(f"""
# Keys of the services; without them nobody can read what they have sealed
DATA_KEY={key()}
DATA_KEY_ID={project}-1
SERIAL_LOOKUP_KEY={key()}
SERIAL_TEXT_KEY={key()}
SERIAL_KEY_ID={project}-1

# Where the `pawl` command finds it all from this machine: set -a; . ./.env; set +a
PAWL_KAFKA=127.0.0.1:{first}
PAWL_POSTGRES=postgresql://pawl_ops:{password("pawl_ops")}@127.0.0.1:{first + 1}/pawl
PAWL_SERVICES={urls}""")
PYTHON
mv "$file.new" "$file"
echo "Wrote $file with new secrets." >&2
