#!/bin/sh
# Stands in for Linux's: lays fragments over a .config, later ones win, and leaves the rest to olddefconfig.
[ "$1" = -m ] && [ "$2" = -O ] && [ -d "$3" ] && [ -f "$4" ] || { echo "usage: -m -O DIR BASE FRAGMENT..." >&2; exit 1; }
out=$3
shift 3
awk '
	/^CONFIG_[A-Za-z0-9_]+=/ { split($0, half, "="); name = half[1] }
	/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { name = $2 }
	name { if (!(name in line)) order[++count] = name; line[name] = $0; name = "" }
	END { for (i = 1; i <= count; i++) print line[order[i]] }
' "$@" > "$out/.merged" && mv "$out/.merged" "$out/.config"
