#!/usr/bin/env bash
# oci-image-tool: unpack leaves out FIFOs and device nodes without a word.
#
# Expected: the layer's tar holds a file, a FIFO and a character device, all of which the OCI image
# specification allows in a layer (layer.md, file types). `umoci unpack` makes all three.
# Seen: `oci-image-tool validate` says that the image is valid, `oci-image-tool unpack` exits with 0, and
# only the file is there. Whatever waits for the FIFO waits in vain.
#
# Versions: oci-image-tool 1.0.0~rc2+really.rc1+dfsg-2+b12 and umoci 0.4.7+ds-3+b7 of Debian 12.
# Seen on 2026-11-28. Needs root, as making a device does.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq oci-image-tool=1.0.0~rc2+really.rc1+dfsg-2+b12 umoci=0.4.7+ds-3+b7
for package in ./*.deb; do
    dpkg -x "$package" root
    dpkg-deb -f "$package" Package Version
done
PATH="$folder/root/usr/bin:$PATH"

umoci init --layout image
umoci new --image image:v1
umoci unpack --image image:v1 bundle
echo text >bundle/rootfs/file
mkfifo bundle/rootfs/fifo
mknod bundle/rootfs/null c 1 3
umoci repack --image image:v1 bundle
umoci unpack --image image:v1 by-umoci
oci-image-tool validate --type image --ref name=v1 image
mkdir by-oci-image-tool
oci-image-tool unpack --ref name=v1 image by-oci-image-tool

one=$(ls by-umoci/rootfs | tr '\n' ' ')
other=$(ls by-oci-image-tool | tr '\n' ' ')
echo "umoci unpacked: $one"
echo "oci-image-tool unpacked: $other"
if [ "$one" != "fifo file null " ] || [ "$other" != "file " ]; then
    echo "changed: other files are unpacked" >&2
    exit 1
fi
