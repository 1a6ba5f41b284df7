#!/bin/sh
# The HTML report of `eckart sweep` as a browser shows it, on a phone, on a screen, in the dark and
# on paper. Usage: report_test.sh REPORT. CHROMIUM names the browser; without one: exit 77, skipped.
set -eu

report=${1:?usage: report_test.sh REPORT}
browser=${CHROMIUM:-}
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
if [ -z "$browser" ]; then
  echo 'SKIPPED: no chromium'
  exit 77
fi

report=$(cd "$(dirname "$report")" && pwd)/$(basename "$report")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

say_failure() {
  printf 'FAILED: %s\n' "$*" >&2
  failures=$((failures + 1))
}

browse() {
  timeout 120 "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars \
    --user-data-dir="$work/profile" --no-first-run --virtual-time-budget=20000 "$@" 2>"$work/err"
}

# A copy of the report that examines itself and tells the page around it. Frames of a given width
# stand for windows: a browser's own window may have a least width.
cat >"$work/script.html" <<'EOF'
<script>
const faults = [];
const fail = (...parts) => faults.push(parts.join(' '));
const name_of = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') +
  (e.getAttribute('class') ? '.' + e.getAttribute('class') : '') + ' "' +
  e.textContent.trim().slice(0, 30) + '"';

// Any CSS colour as red, green, blue, alpha in 0..255, painted on one pixel.
const canvas = document.createElement('canvas');
canvas.width = canvas.height = 1;
const context = canvas.getContext('2d', {willReadFrequently: true});
function rgba(colour) {
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}
function luminance(colour) {
  const [r, g, b] = [...rgba(colour)].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function background(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (rgba(colour)[3] === 255) return colour;
  }
  return 'white';
}
// WCAG 2: (lighter + 0.05) / (darker + 0.05)
function contrast(a, b) {
  const [x, y] = [luminance(a), luminance(b)];
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

function check_width() {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return;
  const wide = [...document.querySelectorAll('body *')].filter(e =>
    !e.closest('.scroll') && e.getBoundingClientRect().right > root.clientWidth + 0.5);
  fail('the page is', root.scrollWidth, 'wide in', root.clientWidth, wide.map(name_of)[0]);
}
function check_text() {
  const texts = [...document.querySelectorAll('body *')].filter(e =>
    !['SCRIPT', 'STYLE', 'title', 'desc'].includes(e.tagName) &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()));
  if (texts.length < 50) fail('only', texts.length, 'elements with text');
  for (const e of texts) {
    const style = getComputedStyle(e);
    const ratio = contrast(e instanceof SVGElement ? style.fill : style.color, background(e));
    if (ratio < 4.5) fail('contrast', ratio.toFixed(2), name_of(e));
    const box = e.getBoundingClientRect();
    if (box.width === 0 || box.height === 0) fail('not to be seen:', name_of(e));
  }
}
function check_finding() {
  const finding = document.querySelector('#finding p');
  const box = finding.getBoundingClientRect();
  if (!/rank|dense/.test(finding.innerText)) fail('the finding says', finding.innerText);
  if (box.top < 0 || box.bottom > innerHeight) fail('the finding needs scrolling:', box.bottom);
}
function check_charts() {
  const charts = [...document.querySelectorAll('svg.chart')];
  if (charts.length < 5) fail('only', charts.length, 'charts');
  for (const svg of charts) {
    const box = svg.getBoundingClientRect();
    const title = svg.querySelector('title').textContent;
    const figure = svg.closest('figure').getBoundingClientRect();
    if (box.width < 260 || box.height < 200) fail(title, 'is', box.width, 'x', box.height);
    const lines = [...svg.querySelectorAll('path.line')];
    const marks = svg.querySelectorAll('.points > *').length;
    if (!lines.length || !marks) fail(title, 'has', lines.length, 'lines,', marks, 'points');
    for (const line of lines) {
      const ink = line.getBBox();
      if (!(ink.width > 20)) fail(title, 'has a line', ink.width, 'x', ink.height);
      const ratio = contrast(getComputedStyle(line).stroke, background(svg));
      if (ratio < 3) fail(title, 'has a line of contrast', ratio.toFixed(2));
    }
    for (const text of svg.querySelectorAll('text')) {
      const place = text.getBoundingClientRect();
      const size = parseFloat(getComputedStyle(text).fontSize) * box.width / svg.viewBox.baseVal.width;
      if (size < (innerWidth < 360 ? 10 : 11.5)) fail(title, 'writes', size.toFixed(1), 'px:', text.textContent);
      if (place.left < figure.left || place.right > figure.right || place.top < box.top - 1 ||
          place.bottom > box.bottom + 1) fail(title, 'cuts', text.textContent);
    }
  }
}
addEventListener('load', () => {
  try {
    check_width();
    check_text();
    check_finding();
    check_charts();
  } catch (e) {
    fail('the examination stopped:', e.message);
  }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const all = faults.slice(0, 8).join('\n') || 'fine';
  parent.postMessage('verdict ' + innerWidth + ' ' + dark + ': ' + all, '*');
});
</script>
EOF
cat "$report" "$work/script.html" >"$work/copy.html"
cat >"$work/page.html" <<'EOF'
<!DOCTYPE html>
<body>
<pre id="verdicts"></pre>
<iframe src="copy.html" width="360" height="800"></iframe>
<iframe src="copy.html" width="320" height="900"></iframe>
<iframe src="copy.html" width="1280" height="900"></iframe>
<script>
addEventListener('message', e => {
  document.getElementById('verdicts').textContent += e.data + '\n';
});
</script>
EOF

# expect_fine SCHEME OPTIONS...: all three frames say so.
expect_fine() {
  scheme=$1
  shift
  browse --window-size=1400,900 "$@" --dump-dom "file://$work/page.html" >"$work/dom" ||
    say_failure "the browser: $(tail -n 3 "$work/err")"
  for width in 360 320 1280; do
    grep -q "verdict $width $scheme: fine" "$work/dom" ||
      say_failure "$width px, $scheme: $(sed -n "/verdict $width/,/<.pre>\|verdict/p" "$work/dom")"
  done
}
expect_fine light
expect_fine dark --force-dark-mode

# On paper: some pages, not one for every row.
browse --no-pdf-header-footer --print-to-pdf="$work/report.pdf" "file://$report" >/dev/null ||
  say_failure "printing: $(tail -n 3 "$work/err")"
pages=$(grep -a -c '/Type */Page\([^s]\|$\)' "$work/report.pdf" || true)
rows=$(grep -c '<tr' "$report")
[ "$pages" -ge 1 ] && [ "$pages" -le $((4 + rows / 12)) ] ||
  say_failure "$pages pages for $rows rows of tables"

[ "$failures" -eq 0 ] || exit 1
echo "fine at 360, 320 and 1280 px, light and dark; $pages pages"
