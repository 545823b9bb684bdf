#!/bin/sh
# Writes .env for docker-compose.yml: random secrets (readable by you only) and the ports on 127.0.0.1.
#
#   deploy/compose/make-env.sh [--secure] [--file .env] [--project pawl] [--first-port 14000]
#
# With --secure Kafka asks everybody for a login: it is the profile of that name that `docker compose up` starts.
#
# A file that is there is never touched: its secrets belong to the data in the volumes. In production the same
# variables come from a store of secrets; nothing here is made for that.
set -eu
cd "$(dirname "$0")/../.."

usage() { echo "usage: $0 [--secure] [--file .env] [--project pawl] [--first-port 14000]" >&2; exit 2; }

file=.env project=pawl first_port=14000 profile=plain
while [ $# -gt 0 ]; do
  case "$1" in
    --secure) profile=secure; shift; continue ;;
    --file | --project | --first-port) [ $# -ge 2 ] || usage ;;
    *) usage ;;
  esac
  case "$1" in
    --file) file=$2 ;;
    --project) project=$2 ;;
    --first-port) first_port=$2 ;;
  esac
  shift 2
done

if [ -e "$file" ]; then
  echo "$file is there already and is kept: its secrets belong to the data in the volumes." >&2
  exit 0
fi
umask 077
python3 - "$project" "$first_port" "$profile" >"$file.new" <<'PYTHON'
import base64, hashlib, hmac, json, secrets, subprocess, sys

project, first, profile = sys.argv[1], int(sys.argv[2]), sys.argv[3]
services = ("orders", "serials", "refunds", "invoices")
# The name of the keys stands in everything that they have sealed.
key_id = f"env-{secrets.token_hex(4)}"
of_postgres, of_kafka = secrets.token_urlsafe(32), secrets.token_urlsafe(32)


def key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


# As `pawl migrate` derives them (ops/setup/provision.py), so that it and the services agree without a shared file.
def password(role, administrator=of_postgres):
    digest = hmac.digest(administrator.encode(), f"password of {role}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:24]).decode()


def kafka_as(principal):
    return f"sasl_plaintext://{principal}:{password(principal, of_kafka)}@127.0.0.1:{first}"


def openssl(*arguments, given=None):
    made = subprocess.run(["openssl", *arguments, "-outform", "DER"], input=given, capture_output=True, check=True)
    return made.stdout


def word(raw):
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


# The key that signs tokens, and the key set with which services check them (ops/shell/tokens.py): Ed25519, whose raw
# keys are the last 32 bytes of what openssl writes.
def token_keys():
    private = openssl("genpkey", "-algorithm", "ed25519")
    public = word(openssl("pkey", "-inform", "DER", "-pubout", given=private)[-32:])
    kid = hashlib.sha256(public.encode()).hexdigest()[:16]
    key = {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": public}
    key_set = {"keys": [{**key, "use": "sig"}]}
    signing = {**key, "d": word(private[-32:])}
    return word(json.dumps(signing).encode()), word(json.dumps(key_set).encode())


try:
    token_key, token_jwks = token_keys()
except OSError:
    token_key = token_jwks = ""
    print("Without openssl no key for tokens is made: /v1 of the services stays closed.", file=sys.stderr)


def only_in(wanted):
    return "" if profile == wanted else "#"


ports = {service: first + 2 + number for number, service in enumerate(services)}
urls = ",".join(f"{service}=http://127.0.0.1:{port}" for service, port in ports.items())
print(f"""\
# Made by deploy/compose/make-env.sh for docker-compose.yml. Keep it secret, and keep it with the volumes.
COMPOSE_PROJECT_NAME={project}

# plain: Kafka asks nobody for a login. secure: everybody. Of the addresses at the end those of the other one are
# commented out.
COMPOSE_PROFILES={profile}

# Ports on 127.0.0.1
PAWL_KAFKA_PORT={first}
PAWL_POSTGRES_PORT={first + 1}""")
for service, port in ports.items():
    print(f"PAWL_{service.upper()}_PORT={port}")
print(f"""\
PAWL_PROMETHEUS_PORT={first + 6}
PAWL_GRAFANA_PORT={first + 7}
PAWL_CONSOLE_PORT={first + 8}

# The database: its administrator, one role for each service, one that reads, and one for the sessions of the console
PAWL_POSTGRES_PASSWORD={of_postgres}""")
for service in services:
    print(f"PAWL_{service.upper()}_PASSWORD={password(f'pawl_{service}')}")
for role in ("ops", "console"):
    print(f"PAWL_{role.upper()}_PASSWORD={password(f'pawl_{role}')}")
print(f"""
# Kafka with logins: its administrator, and one login for each service
PAWL_KAFKA_PASSWORD={of_kafka}""")
for service in services:
    print(f"PAWL_{service.upper()}_KAFKA_PASSWORD={password(f'pawl_{service}', of_kafka)}")
print(f"""
# Keys of the services; without them nobody can read what they have sealed
DATA_KEY={key()}
DATA_KEY_ID={key_id}
DATA_EARLIER_KEYS=
SERIAL_LOOKUP_KEY={key()}
SERIAL_TEXT_KEY={key()}
SERIAL_KEY_ID={key_id}
SERIAL_EARLIER_KEYS=

# The page on which customers register their serials, may hold {{serial}}. Without it no serial is handed out.
SERIALS_REGISTRATION_URL=

# Whether who approves a tax document is not who issues it.
INVOICES_FOUR_EYES=true

# Who sells, as it stands on tax documents. Without number, name and representative no document is approved or shown.
INVOICES_SUPPLIER_NUMBER=
INVOICES_SUPPLIER_NAME=
INVOICES_SUPPLIER_REPRESENTATIVE=
INVOICES_SUPPLIER_ADDRESS=
INVOICES_SUPPLIER_BUSINESS_TYPE=
INVOICES_SUPPLIER_BUSINESS_ITEM=
INVOICES_SUPPLIER_BRANCH=
INVOICES_SUPPLIER_EMAIL=

# Who issues tax documents with the tax authority, and who knows whether a business is active (docs/tax-agent.md). Without
# the first they are issued without an agent, without the second nobody is asked.
INVOICES_TAX_AGENT_URL=
INVOICES_TAX_AGENT_TOKEN=
INVOICES_BUSINESS_STATUS_URL=
INVOICES_BUSINESS_STATUS_TOKEN=

# Who is asked about tokens of the HTTP side. Here a key of this file signs them (pawl token); with an OpenID provider
# these are its JWKS (https://...), its issuer and our audience, and PAWL_TOKEN_KEY goes away.
PAWL_TOKEN_KEY={token_key}
TOKEN_JWKS={token_jwks}
TOKEN_ISSUER=pawl
TOKEN_AUDIENCE=pawl

# How people sign in to the console (the profile `console`): an OpenID provider, or a proxy (docs/console.md). It signs
# tokens for the services with PAWL_TOKEN_KEY.
CONSOLE_URL=
CONSOLE_OIDC_ISSUER=
CONSOLE_OIDC_CLIENT_ID=
CONSOLE_OIDC_CLIENT_SECRET=
CONSOLE_PROXY_HEADER=
CONSOLE_PROXIES=

# Where the `pawl` command finds it all from this machine: set -a; . ./.env; set +a
{only_in("plain")}PAWL_KAFKA=127.0.0.1:{first}
{only_in("secure")}PAWL_KAFKA={kafka_as("pawl_ops")}
{only_in("secure")}PAWL_KAFKA_CHECKOUT={kafka_as("pawl_checkout")}
PAWL_POSTGRES=postgresql://pawl_ops:{password("pawl_ops")}@127.0.0.1:{first + 1}/pawl
PAWL_SERVICES={urls}""")
PYTHON
mv "$file.new" "$file"
echo "Wrote $file with new secrets." >&2
