# Makes a complete .config of the options that are asked for, as olddefconfig does:
# awk -v kconfig="KCONFIG FILES" -f conf.awk .config

function value(name) {
	return (name in now) ? now[name] : "n"
}

function met(name,    terms, count, i, term, off) {
	count = split(depends[name], terms, / *&& */)
	for (i = 1; i <= count; i++) {
		term = terms[i]
		off = sub(/^!/, "", term)
		if ((value(term) == "n") != off)
			return 0
	}
	return 1
}

function read_kconfig(    files, count, i, line, name, words) {
	count = split(kconfig, files, " ")
	for (i = 1; i <= count; i++) {
		while ((getline line < files[i]) > 0) {
			split(line, words, " ")
			if (words[1] == "config") {
				name = words[2]
				order[++options] = name
				declared[name] = 1
			} else if (words[1] ~ /^(bool|tristate|string|int)$/) {
				type[name] = words[1]
				if (line ~ /"/)
					prompt[name] = 1
			} else if (words[1] == "default") {
				fallback[name] = words[2]
			} else if (words[1] == "select") {
				selects[name] = words[2]
			} else if (words[1] == "depends") {
				sub(/^[ \t]*depends on /, "", line)
				depends[name] = line
			} else if (line !~ /^[ \t]*(#|$)/ && words[1] != "source") {
				printf "%s: syntax error: %s\n", files[i], line > "/dev/stderr"
				failed = 1
				exit 1
			}
		}
	}
}

BEGIN { read_kconfig() }

/^CONFIG_[A-Za-z0-9_]+=/ {
	split($0, half, "=")
	asked[substr(half[1], 8)] = substr($0, length(half[1]) + 2)
}

/^# CONFIG_[A-Za-z0-9_]+ is not set$/ { asked[substr($2, 8)] = "n" }

END {
	if (failed)
		exit 1
	for (round = 0; round < 6; round++) {
		delete forced
		for (name in selects)
			if (value(name) != "n")
				forced[selects[name]] = 1
		for (i = 1; i <= options; i++) {
			name = order[i]
			wish = (name in fallback) ? fallback[name] : "n"
			if ((name in prompt) && (name in asked))
				wish = asked[name]
			if (!met(name))
				wish = "n"
			now[name] = (name in forced) ? "y" : wish
		}
	}
	for (i = 1; i <= options; i++) {
		name = order[i]
		if (value(name) != "n")
			printf "CONFIG_%s=%s\n", name, now[name]
		else if (met(name) && (name in prompt))
			printf "# CONFIG_%s is not set\n", name
	}
}
