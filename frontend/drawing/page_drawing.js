/** Elements of SVG for a layout: boxes, frames of open modules, wires. */
const element = (tag, attributes, parent) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
};
const cornersOf = (kind, height) => ({end: height / 2, parameter: 0, cache: 10})[kind] ?? 5;
/** `alone`: what did not change is pale. */
function drawItem(graph, id, spot, level, parent, alone) {
  const item = graph.item(id), closed = id[0] === 'm';
  const styles = ['item', item.gradient ? 'gradient' : 'forward'];
  if (item.reference || item.only) styles.push('reference');
  if (item.heat) styles.push('heat');
  if (item.change) styles.push('changed');
  if (alone && !item.change) styles.push('dim');
  const words = [item.gradient && 'gradient', item.label, item.detail, item.only, item.work, item.change, closed && 'module'];
  const node = element('g', {
    tabindex: -1, role: 'treeitem', 'aria-level': level, 'data-id': id, class: styles.join(' '),
    'aria-label': words.filter(Boolean).join(', ').replaceAll('\n', ', '),
  }, parent);
  if (closed) node.setAttribute('aria-expanded', 'false');
  const left = spot.x - spot.width / 2, top = spot.y - spot.height / 2;
  element('rect', {x: left, y: top, width: spot.width, height: spot.height, rx: cornersOf(item.kind, spot.height), style: `fill: var(--${item.heat || item.kind})`}, node);
  if (item.work) element('title', {}, node).textContent = item.label + '\n' + item.work;
  let line = top + 2;
  for (const {line: text, size, style} of linesOf(item)) {
    line += size + 4;
    element('text', {x: spot.x, y: line - 2, class: style}, node).textContent = text;
  }
}
function drawWire(wire, x, y, parent) {
  const points = wire.points.map(point => [point.x + x, point.y + y]);
  let path = 'M' + points[0];
  for (let i = 1; i < points.length - 1; ++i) {
    const [now, next] = [points[i], points[i + 1]];
    path += `Q${now} ${(now[0] + next[0]) / 2},${(now[1] + next[1]) / 2}`;
  }
  const style = wire.kind === 'gradient' ? 'gradient' : wire.kind === 'saved' ? 'saved' : wire.kind + ' forward';
  const line = element('path', {class: 'wire ' + style, d: path + 'L' + points.at(-1)}, parent);
  if (/^(b\d+|m\d+g?)$/.test(wire.to)) line.setAttribute('marker-end', 'url(#arrow)');
}
/** A module and what it holds, its upper left corner at (x, y). */
function drawLevel(graph, placed, x, y, level, parent, alone) {
  let group = parent;
  if (placed.m) {
    const frame = {width: placed.width, height: placed.height, rx: 8, style: 'fill: var(--open)'};
    group = element('g', {
      tabindex: -1, role: 'treeitem', 'aria-level': level, 'aria-expanded': 'true', class: 'item', 'data-id': 'm' + placed.m,
      'aria-label': placed.title.slice(2) + ', open module',
    }, parent);
    if (graph.model.modules[placed.m].count > 1) element('rect', {x: x + 5, y: y - 5, ...frame}, group);
    element('rect', {x, y, ...frame}, group);
  }
  for (const [name, child] of placed.children) {
    const spot = placed.spot(name);
    drawLevel(graph, child, x + spot.x - spot.width / 2, y + spot.y - spot.height / 2, level + 1, group, alone);
  }
  for (const wire of placed.lines) drawWire(wire, x, y, group);
  if (placed.m) element('text', {x: x + 10, y: y + 17, class: 'title'}, group).textContent = placed.title;
  for (const id of placed.items) {
    const spot = placed.spot(id);
    drawItem(graph, id, {...spot, x: spot.x + x, y: spot.y + y}, level + 1, group, alone);
  }
}
