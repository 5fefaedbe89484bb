/** What boxes, colours, lines and badges mean: what occurs in a model, then what pages do to it. */
function legendOf({legend, boxes}, passes) {
  const entries = [...legend];
  const add = (text, sample) => entries.push({text, ...sample});
  if (boxes.some(box => box.only)) add('dashed: only some of the layers have it', {box: 'pointwise', reference: true});
  add('of a box of a module: click, or Enter, opens it; the title of an open one closes it', {box: 'closed'});
  add('what was found, or what belongs together: a box and its gradient', {box: 'pointwise', style: 'hit'});
  if (!passes) return entries;
  const changed = {box: 'pointwise', style: 'changed'};
  add('changed by the pass: new (+), fused of others (⊕), moved to another module (↔), gone (−, with Before)', changed);
  return entries;
}
/** A small picture of what an entry is about; none for words alone. */
function drawSample(entry, parent) {
  const svg = element('svg', {viewBox: '0 0 30 16', 'aria-hidden': true}, parent);
  if (entry.box) {
    const group = element('g', {class: [entry.style, entry.reference && 'reference'].filter(Boolean).join(' ')}, svg);
    const frame = {x: 2, y: 2, width: 26, height: 12, rx: cornersOf(entry.box, 12)};
    element('rect', {...frame, style: `fill: var(--${entry.role || entry.box})`}, group);
  } else if (entry.wire) {
    element('path', {class: 'wire ' + entry.wire, d: 'M2 8L27 8', 'marker-end': 'url(#arrow)'}, svg);
  }
}
function showLegend(host, entries) {
  host.replaceChildren(...entries.map(entry => {
    const row = document.createElement('li');
    drawSample(entry, row);
    row.append(entry.text);
    return row;
  }));
}
