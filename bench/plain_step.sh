#!/usr/bin/env bash
# What a kernel developer hands to `git bisect run`: build the checkout here, boot it once in QEMU, grep the verdict.
# 0 good, 1 bad, 125 skip. main_job.py sets the upper-case variables; seconds go to $TIMES, one line a stage.
set -u

began=$EPOCHREALTIME
took() {
    printf '%s %s %s\n' "$1" "$began" "$EPOCHREALTIME" >>"$TIMES"
    began=$EPOCHREALTIME
}

mkdir -p "$OUT"
# shellcheck disable=SC2086  # FRAGMENTS are several words
make -s O="$OUT" tinyconfig &&
    scripts/kconfig/merge_config.sh -m -O "$OUT" "$OUT/.config" $FRAGMENTS >/dev/null &&
    make -s O="$OUT" olddefconfig &&
    make -s -j"$(nproc)" O="$OUT" CC="ccache gcc" bzImage
built=$?
took build
[ "$built" = 0 ] || exit 125

timeout "$BOOT_LIMIT" qemu-system-x86_64 -accel tcg -machine pc -cpu EPYC,+svm -smp 2,sockets=2,cores=1,threads=1 -m 512 \
    -display none -no-reboot -monitor none -serial file:"$CONSOLE" -kernel "$OUT/arch/x86/boot/bzImage" \
    -initrd "$INITRD" </dev/null \
    -append "console=ttyS0 panic=-1 tsc_early_khz=2600000 bisectbot.token=plain bisectbot.trials=$TRIALS bisectbot.limit=120"
took boot

grep -q '"how":"exit","code":1[,}]' "$CONSOLE" && exit 1
grep -q '"how":"exit","code":0[,}]' "$CONSOLE" && exit 0
exit 125
