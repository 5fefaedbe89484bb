/** Places for a graph: each module by itself, what it holds first. Wires of the gradient are ranked against their
 *  direction, so that forward and gradient stand side by side. */
class Layout {
  constructor(graph, open) {
    this.graph = graph;
    this.levels = graph.levels(open);
    this.top = this.place(0);
  }
  place(m) {
    const {items, wires, ports} = this.levels.get(m), module = this.graph.model.modules[m];
    const dag = new dagre.graphlib.Graph({multigraph: true}), children = new Map();
    dag.setGraph({rankdir: 'BT', nodesep: 14, ranksep: 24, edgesep: 8});
    for (const id of items) dag.setNode(id, sizeOf(this.graph.item(id)));
    for (const child of this.levels.keys()) {
      if (this.graph.model.modules[child].parent !== m) continue;
      const placed = this.place(child);
      children.set('c' + child, placed);
      dag.setNode('c' + child, {width: placed.width, height: placed.height});
    }
    // Forward values come in below and leave above; those of the gradient the other way round.
    const below = (port, gradient) => port.startsWith('in') !== gradient;
    if (ports.size) for (const end of ['low', 'high']) dag.setNode(end, {width: 0, height: 0});
    for (const [port, gradient] of ports) {
      dag.setNode(port, {width: 2, height: 2});
      if (below(port, gradient)) dag.setEdge('low', port, {weight: 50}); else dag.setEdge(port, 'high', {weight: 50});
    }
    const ends = wire => wire.kind === 'gradient' ? [nodeOf(wire.to), nodeOf(wire.from)] : [nodeOf(wire.from), nodeOf(wire.to)];
    for (const [key, wire] of wires)
      if (wire.kind !== 'saved' && wire.kind !== 'carried') dag.setEdge(...ends(wire), {weight: 1}, key);
    dagre.layout(dag);
    return this.framed(m, module, dag, {items, wires, ports, children, below, ends});
  }
  /** With room for a title, and wires that end at borders. */
  framed(m, module, dag, {items, wires, ports, children, below, ends}) {
    const title = m ? '▾ ' + module.title : '';
    const head = m ? 24 : 0, inner = Math.max(dag.graph().width, 0), height = Math.max(dag.graph().height, 0) + head + 20;
    const width = Math.max(inner, m ? textWidth(title, 12, true) + 20 : 0) + 20, shift = (width - inner) / 2;
    const spot = id => {
      const node = dag.node(id);
      return {x: node.x + shift, y: node.y + head + 10, width: node.width, height: node.height};
    };
    const gates = new Map([...ports].map(([port, gradient]) => [port, {x: spot(port).x, y: below(port, gradient) ? height : 0}]));
    const tip = (end, from) => {
      if (gates.has(end)) return gates.get(end);
      const at = spot(nodeOf(end)), child = children.get(nodeOf(end));
      if (child) {
        const gate = child.gates.get(end.slice(end.indexOf(' ') + 1));
        return {x: at.x - at.width / 2 + gate.x, y: at.y - at.height / 2 + gate.y};
      }
      const half = at.width / 2, side = from.y < at.y ? -1 : 1;
      return {x: at.x + Math.max(-half, Math.min(half, (from.x - at.x) * .3)), y: at.y + side * at.height / 2};
    };
    const lines = [...wires].map(([key, wire]) => {
      const edge = dag.edge(...ends(wire), key);
      const middle = edge ? edge.points.slice(1, -1).map(point => ({x: point.x + shift, y: point.y + head + 10})) : [];
      if (wire.kind === 'gradient') middle.reverse();
      const from = spot(nodeOf(wire.from)), to = spot(nodeOf(wire.to));
      return {...wire, points: [tip(wire.from, middle[0] || to), ...middle, tip(wire.to, middle.at(-1) || from)]};
    });
    return {m, title, width, height, items, children, gates, lines, spot};
  }
}
const pen = document.createElement('canvas').getContext('2d');
function textWidth(text, size, bold) {
  pen.font = `${bold ? 'bold ' : ''}${size}px Helvetica, Arial, sans-serif`;
  return pen.measureText(text).width;
}
/** The lines of a box: what it computes, its details, its share of the time, what a pass did to it. */
const linesOf = item => [[item.label, 12, ''], [item.detail, 11, 'detail'], [item.only, 11, 'detail'], [item.share, 11, 'share'], [item.change, 11, 'change']]
  .flatMap(([text, size, style]) => (text || '').split('\n').filter(Boolean).map(line => ({line, size, style})));
function sizeOf(item) {
  let width = 0, height = 8;
  for (const {line, size} of linesOf(item)) {
    width = Math.max(width, textWidth(line, size));
    height += size + 4;
  }
  return {width: Math.max(width + 16, 24), height: Math.max(height, 24)};
}
/** The node of a level that an end of a wire is at: "c3 out b7" is at the module "c3". */
const nodeOf = end => end[0] === 'c' ? end.split(' ')[0] : end;
