#!/usr/bin/env bash
# tar-split: a sparse tar is put together again as another tar, with exit status 0.
#
# Expected: `tar-split asm` gives the very tar that `tar-split disasm` saw, or fails; it keeps a checksum
# of each file for that. Container engines rebuild layers in this way, and know them by digest.
# Seen: the tar that GNU tar --sparse wrote of a file of 1 MiB with one written block takes 10,240 bytes.
# Out of it and the extracted file asm makes 1,054,720 bytes, says "created" and exits with 0: the
# header says sparse, the data is not. (The README names sparse files as a limit, and wishes for an
# alert; there is none.) A tar of the same file without --sparse comes back as it was.
#
# Version: tar-split 0.11.2+ds1-1+b4 of Debian 12. Seen on 2026-11-28.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq tar-split=0.11.2+ds1-1+b4
dpkg -x tar-split_*.deb root
tar_split="$folder/root/usr/bin/tar-split"
dpkg-deb -f tar-split_*.deb Package Version
"$tar_split" --version

mkdir files
truncate -s 1M files/hole
printf x | dd of=files/hole bs=1 seek=500000 conv=notrunc status=none
tar -C files --format=gnu -cf whole.tar hole
tar -C files --format=gnu --sparse -cf sparse.tar hole
answers=""
for name in whole sparse; do
    "$tar_split" disasm --output "$name.json.gz" --no-stdout "$name.tar" 2>log.txt
    "$tar_split" asm --input "$name.json.gz" --path files --output "$name.again" 2>>log.txt
    if cmp -s "$name.tar" "$name.again"; then same=yes; else same=no; fi
    echo "$name.tar: $(stat -c %s "$name.tar") bytes, put together $(stat -c %s "$name.again") bytes, the same: $same"
    answers="$answers $same"
done
if [ "$answers" != " yes no" ] || [ "$(stat -c %s sparse.again)" != 1054720 ]; then
    echo "changed: tar-split puts the tars together in another way" >&2
    exit 1
fi
