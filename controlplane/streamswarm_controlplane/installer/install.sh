#!/bin/sh
# Installs, upgrades or removes a StreamSwarm agent on this host:
#
#   curl -fsS __URL__/install.sh | sudo sh -s -- --token sse_…
#
# It makes a user, a virtual environment, a systemd unit and a credential, and touches nothing else. Running it again
# upgrades the program and keeps the credential.
set -eu
# All of it is read before any of it runs, so that a download that breaks off does nothing.
{

URL='__URL__'
PACKAGE='streamswarm[agent]==__VERSION__'
COLLECTOR=''
NAME=''
TOKEN="${STREAMSWARM_AGENT_ENROL_TOKEN:-}"
ROOT=''
SYSTEMD=yes
REMOVE=no

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }
usage() {
  say "usage: install.sh [--token TOKEN] [--name NAME] [--collector URL] [--package SPEC] [--no-systemd] [--remove]

  --token TOKEN    one-time enrolment token from the console (or STREAMSWARM_AGENT_ENROL_TOKEN)
  --name NAME      the agent's name; the host name by default
  --collector URL  where points are sent; port 8801 of the control plane's host by default
  --package SPEC   what pip installs; $PACKAGE by default
  --no-systemd     install without a unit, for hosts with another supervisor
  --root FOLDER    install below a folder instead of /
  --remove         take it away again; the data in /var/lib/streamswarm stay"
}

while [ $# -gt 0 ]; do
  case "$1" in
    --token) TOKEN="${2:?--token takes a value}"; shift 2 ;;
    --name) NAME="${2:?--name takes a value}"; shift 2 ;;
    --collector) COLLECTOR="${2:?--collector takes a value}"; shift 2 ;;
    --package) PACKAGE="${2:?--package takes a value}"; shift 2 ;;
    --root) ROOT="${2:?--root takes a value}"; shift 2 ;;
    --no-systemd) SYSTEMD=no; shift ;;
    --remove) REMOVE=yes; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown option $1" ;;
  esac
done

PROGRAM="$ROOT/opt/streamswarm"
DATA="$ROOT/var/lib/streamswarm"
ENVIRONMENT="$ROOT/etc/streamswarm/agent.env"
UNIT="$ROOT/etc/systemd/system/streamswarm-agent.service"

[ -n "$ROOT" ] || [ "$(id -u)" -eq 0 ] || fail "this takes root: curl … | sudo sh -s -- …"
[ "$SYSTEMD" = no ] || command -v systemctl >/dev/null || fail "no systemd here; give --no-systemd"

if [ "$REMOVE" = yes ]; then
  [ "$SYSTEMD" = no ] || systemctl disable --now streamswarm-agent.service 2>/dev/null || true
  rm -rf "$PROGRAM" "$UNIT" "$ENVIRONMENT"
  say "removed; what it kept is still in $DATA, and the control plane still knows the agent"
  exit 0
fi

PYTHON=''
for one in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$one" >/dev/null && "$one" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    PYTHON=$one
    break
  fi
done
[ -n "$PYTHON" ] || fail "Python 3.11 or later with venv is needed; on Debian and Ubuntu: apt install python3-venv"

if [ -z "$ROOT" ] && ! id streamswarm >/dev/null 2>&1; then
  useradd --system --home-dir /var/lib/streamswarm --shell /usr/sbin/nologin streamswarm
fi
mkdir -p "$PROGRAM" "$DATA" "$(dirname "$ENVIRONMENT")"
chmod 700 "$DATA"
[ -n "$ROOT" ] || chown streamswarm:streamswarm "$DATA"

say "installing $PACKAGE into $PROGRAM …"
"$PYTHON" -m venv "$PROGRAM"
# shellcheck disable=SC2086 - several options in one variable
"$PROGRAM/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade ${STREAMSWARM_PIP_OPTIONS:-} "$PACKAGE"

if [ -z "$COLLECTOR" ]; then
  COLLECTOR=$("$PYTHON" -c 'import sys, urllib.parse as u
p = u.urlsplit(sys.argv[1]); h = p.hostname or ""
print(p.scheme + "://" + ("[" + h + "]" if ":" in h else h) + ":8801")' "$URL")
fi
if [ ! -e "$ENVIRONMENT" ]; then
  {
    say "STREAMSWARM_AGENT_CONTROLPLANE_URL=$URL"
    say "STREAMSWARM_AGENT_COLLECTOR_URL=$COLLECTOR"
    [ -z "$NAME" ] || say "STREAMSWARM_AGENT_NAME=$NAME"
  } > "$ENVIRONMENT"
fi
# Keys and passwords come to stand there, and systemd reads it as root.
chmod 600 "$ENVIRONMENT"

as_agent() {
  if [ -n "$ROOT" ]; then "$@"; else setpriv --reuid streamswarm --regid streamswarm --clear-groups "$@"; fi
}
if [ -e "$DATA/agent/credential.json" ]; then
  say "enrolled already; the credential stays"
elif [ -n "$TOKEN" ]; then
  # The token goes by the environment: arguments are for every user to see.
  as_agent env STREAMSWARM_DATA="$DATA" STREAMSWARM_AGENT_ENROL_TOKEN="$TOKEN" \
    "$PROGRAM/bin/streamswarm" agent enrol --url "$URL" ${NAME:+--name "$NAME"}
else
  say "not enrolled: run this again with --token, or: streamswarm agent enrol"
fi

if [ "$SYSTEMD" = yes ]; then
  mkdir -p "$(dirname "$UNIT")"
  "$PROGRAM/bin/streamswarm" unit agent > "$UNIT"
  if [ -z "$ROOT" ]; then
    systemctl daemon-reload
    systemctl enable --quiet streamswarm-agent.service
    systemctl restart streamswarm-agent.service
  fi
  say "running as streamswarm-agent.service; its log: journalctl -u streamswarm-agent"
else
  say "start it with: STREAMSWARM_DATA=$DATA $PROGRAM/bin/streamswarm agent run"
fi

exit
}
