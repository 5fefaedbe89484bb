#!/usr/bin/env bash
# The Debian package in a Debian 12 that has nothing but its base: installed, it compiles an example, trains and runs
# it; removed, it leaves nothing. Needs root, debootstrap and a mirror (that of this machine's apt): about 1 GB of
# disk and five minutes. tests/system/package_test.sh PACKAGE.deb
set -euo pipefail
package=$(realpath "${1:?the package to try}")
for needed in debootstrap chroot; do
  command -v "$needed" >/dev/null || { echo "$needed is missing: apt-get install debootstrap"; exit 1; }
done
((EUID == 0)) || { echo "only root may make a system of its own"; exit 1; }
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' |
  awk '$2 == "bookworm" { print $1; exit }')
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian 12 (bookworm): apt-get update"; exit 1; }

system=$(mktemp -d /var/tmp/heed-debian.XXXXXX)
chmod 755 "$system"
finish() {
  mountpoint -q "$system/proc" && umount "$system/proc"
  rm -rf --one-file-system "$system"
}
trap finish EXIT
inside() { chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive "$@"; }

echo "== a Debian 12 of its own"
debootstrap --variant=minbase bookworm "$system" "$mirror" >/dev/null
mount -t proc proc "$system/proc"
# Proxies and archives as this machine has them.
cp -a /etc/apt/apt.conf.d/. "$system/etc/apt/apt.conf.d/"
rm -f "$system/etc/apt/sources.list"
for archives in sources.list sources.list.d; do
  if [ -e "/etc/apt/$archives" ]; then cp -a "/etc/apt/$archives" "$system/etc/apt/"; fi
done
cp -a /usr/share/keyrings/. "$system/usr/share/keyrings/"
cp "$package" "$system/tmp/heed.deb"
inside apt-get update -qq
remains() {
  inside find / -xdev \( -path /proc -o -path /tmp -o -path /var/cache/apt \) -prune -o -iname '*heed*' -print | sort
}
remains >"$system/tmp/before"

echo "== installing"
inside apt-get install -y -qq --no-install-recommends /tmp/heed.deb >/dev/null
inside heed --version
inside heed --help >/dev/null
for page in man/man1/heed.1 bash-completion/completions/heed; do
  [ -n "$(inside dpkg -L heed | grep -F "$page")" ] || { echo "the package has no $page"; exit 1; }
done

echo "== a model is built, trained and run"
examples=/usr/share/doc/heed/examples
inside heed build $examples/transformer.heed -o /tmp/mt --set vocab=400 --set model=32 --set hidden=64 --set heads=2 \
  --set layer=1 --set src=32 --set tgt=32
inside /tmp/mt train --source $examples/data/tiny.en --target $examples/data/tiny.fr --steps 5 --out /tmp/mt.safetensors
translation=$(echo 'the cat sleeps' | inside /tmp/mt translate --weights /tmp/mt.safetensors | wc -l)
[ "$translation" = 1 ] || { echo "a line was translated to $translation lines"; exit 1; }

echo "== removed without remains"
rm -f "$system"/tmp/mt*
inside apt-get purge -y -qq heed >/dev/null
remains >"$system/tmp/after"
diff "$system/tmp/before" "$system/tmp/after" || { echo "the package left something behind"; exit 1; }
echo "== passes"
