#!/usr/bin/env bash
# Pages of `heed graph` in a browser (Debian's chromium, without a window): at two widths, light and dark, everything
# opens, folds, is found and can be reached with keys. page_check.js, appended to each page, says what is wrong.
# tests/system/page_test.sh HEED [FOLDER FOR PICTURES]
set -euo pipefail
heed=$(realpath "${1:?the compiler}")
pictures=${2:-}
sources=$(realpath "$(dirname "$0")/../..")
command -v chromium >/dev/null || { echo "chromium is missing: apt-get install chromium"; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

browse() { # Blink numbers schemes: 0 is dark, 1 light
  timeout 300 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
    --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$folder/profile" \
    --window-size=1280,900 --blink-settings=preferredColorScheme="$([ "$scheme" = dark ] && echo 0 || echo 1)" \
    --virtual-time-budget=60000 "$@" "file://$folder/frame.html" 2>/dev/null
}
# No window of chromium is as narrow as a phone, so pages are in a frame.
frame() {
  cat >"$folder/frame.html" <<EOF
<!doctype html><meta name="color-scheme" content="light dark"><body style="margin: 0">
<script>onmessage = event => document.body.dataset.check = event.data</script>
<iframe style="border: 0; width: ${width}px; height: 890px" src="$1"></iframe>
EOF
}
failed=0
for program in transformer gpt2 llama; do
  "$heed" graph "$sources/examples/$program.heed" -o "$folder/$program.html"
  { cat "$folder/$program.html" && echo "<script>" && cat "$sources/tests/system/page_check.js" && echo "</script>"; } \
    >"$folder/check.html"
  for width in 1280 400; do
    for scheme in light dark; do
      frame check.html
      said=$(browse --dump-dom | sed -n 's/.*data-check="\([^"]*\)".*/\1/p' | head -1 || true)
      echo "$program, $width px, $scheme: ${said:-no answer}"
      [[ $said == "$scheme, fine"* ]] || failed=1
      if [ -n "$pictures" ]; then
        frame "$program.html"
        browse --screenshot="$pictures/$program-$width-$scheme.png" || true
      fi
    done
  done
done
exit $failed
