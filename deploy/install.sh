#!/usr/bin/env bash
# Installs esc as a systemd service: the executable, its account, a configuration if there is none, the unit.
# Run as root from anywhere; run again to update. It starts nothing: the last lines say how.
#
#   deploy/install.sh [--root DIR] [EXECUTABLE]
#
#   --root DIR   install below DIR, for an image or a package; accounts are made when it boots
#   EXECUTABLE   default: dist/esc beside this folder
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=""
executable="$here/../dist/esc"
while [ $# -gt 0 ]; do
  case "$1" in
    --root) root=${2:?--root needs a folder}; shift 2 ;;
    -h | --help) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    -*) echo "error: unknown option $1" >&2; exit 2 ;;
    *) executable=$1; shift ;;
  esac
done

if [ ! -x "$executable" ]; then
  echo "error: there is no executable $executable" >&2
  echo "  hint: run \`npm ci && npm run build\` first" >&2
  exit 1
fi
if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
  echo "error: installing into the system needs root" >&2
  exit 1
fi

# By way of a new file and a rename: the running executable keeps its own.
install -D -m 0755 "$executable" "$root/usr/local/bin/esc.new"
mv -f "$root/usr/local/bin/esc.new" "$root/usr/local/bin/esc"
install -D -m 0644 "$here/esc.service" "$root/etc/systemd/system/esc.service"
install -D -m 0644 "$here/esc.socket" "$root/etc/systemd/system/esc.socket"
install -D -m 0644 "$here/esc.sysusers.conf" "$root/usr/lib/sysusers.d/esc.conf"
install -D -m 0644 "$here/esc.tmpfiles.conf" "$root/usr/lib/tmpfiles.d/esc.conf"
install -d -m 0750 "$root/etc/esc"
if [ ! -e "$root/etc/esc/config.yaml" ]; then
  install -m 0640 "$here/../config/config.yaml" "$root/etc/esc/config.yaml"
fi

if [ -z "$root" ]; then
  systemd-sysusers esc.conf
  systemd-tmpfiles --create esc.conf
  # Nothing to reload where systemd is installed but does not run, as in a container.
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
fi

echo "esc is installed. Configuration: $root/etc/esc/config.yaml"
echo "Start it now and at every boot: systemctl enable --now esc"
