#!/usr/bin/env bash
# Serves the app on HOST:PORT (127.0.0.1:8501) until Ctrl+C. .venv must be ready, see setup.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

host=${HOST:-127.0.0.1}
port=${PORT:-8501}
python=.venv/bin/python

# Asked beforehand because the server itself would look for another port or end with less than a sentence.
"$python" - "$host" "$port" <<'PYTHON'
import errno
import socket
import sys

host, port = sys.argv[1:]
if not (port.isdecimal() and 0 < int(port) < 65536):
    sys.exit(f"PORT={port} is not a port: give a number from 1 to 65535, for example PORT=8502 make app")
try:
    family, kind, protocol, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
except OSError as error:
    if error.errno == errno.EADDRINUSE:
        other = int(port) + 1 if int(port) < 65535 else 8502
        sys.exit(f"Port {port} of {host} is in use, perhaps by an earlier start. Take another one: PORT={other} make app")
    sys.exit(f"Cannot serve on HOST={host} PORT={port}: {error.strerror}. The usual address is HOST=127.0.0.1 PORT=8501.")
PYTHON
[[ $host != 0.0.0.0 && $host != :: ]] || echo "HOST=$host: everybody who can reach this machine can use the app."
exec "$python" -m streamlit run --server.address "$host" --server.port "$port"
