'use strict';
/** A graph and its modules. Those whose names are in `open` show what they hold; every other one is a box, and one more
 *  for its gradient. Ids: "b7" is box 7, "m3" module 3, "m3g" the gradient of module 3 while that is closed. */
class Graph {
  constructor(model) {
    this.model = model;
    this.names = model.modules.map((_, i) => this.path(i).map(m => model.modules[m].name).join('/'));
    /** What became of the boxes in a closed module, by its id. */
    this.changes = new Map();
    for (const box of model.boxes) {
      if (!box.change || box.outside) continue;
      for (const m of this.path(box.module)) {
        const id = Graph.closed(m, box.gradient);
        if (!this.changes.has(id)) this.changes.set(id, []);
        this.changes.get(id).push(box.change);
      }
    }
  }
  static closed(module, gradient) {
    return 'm' + module + (gradient ? 'g' : '');
  }
  /** From the outermost module to this one. */
  path(module) {
    const path = [];
    for (let at = module; at >= 0; at = this.model.modules[at].parent) path.unshift(at);
    return path;
  }
  /** What is open at first: the whole and, if `layers`, those with what holds them. */
  start(layers) {
    const open = new Set([this.names[0]]);
    if (layers) this.model.modules.forEach((module, i) => {
      if (module.count > 1) for (const m of this.path(i)) open.add(this.names[m]);
    });
    return open;
  }
  /** Where a box is seen: its id, or that of the closed module it is in, and the open modules around that. */
  seat(number, open) {
    const box = this.model.boxes[number], path = this.path(box.module);
    const shut = path.findIndex(m => !open.has(this.names[m]));
    if (shut < 0) return {id: 'b' + number, path};
    const around = path.slice(0, shut);
    return {id: box.outside ? 'b' + number : Graph.closed(path[shut], box.gradient), path: around};
  }
  /** What is written of the box or closed module with an id. */
  item(id) {
    if (id[0] === 'b') return this.model.boxes[+id.slice(1)];
    const module = this.model.modules[parseInt(id.slice(1))], changes = this.changes.get(id);
    const change = changes && changes.length + ' ' + (new Set(changes).size > 1 ? 'changed' : changes[0]);
    return {...(id.endsWith('g') ? module.closedGradient : module.closed), change};
  }
  /** The id of the gradient's counterpart, or of what a gradient is of. */
  pair(id) {
    if (id[0] === 'm') return id.endsWith('g') ? id.slice(0, -1) : id + 'g';
    const number = +id.slice(1), {pair} = this.model.boxes[number];
    return 'b' + (pair ?? this.model.boxes.findIndex(box => box.pair === number));
  }
  /** A level for each open module: what stands in it, and stretches of wires between that and its border. Where a value
   *  crosses a border it does so once; `ports` says whether it belongs to the gradient. */
  levels(open) {
    const levels = new Map();
    this.names.forEach((_, m) => {
      if (this.path(m).every(outer => open.has(this.names[outer]))) levels.set(m, {items: new Set(), wires: new Map(), ports: new Map()});
    });
    const seats = this.model.boxes.map((_, i) => this.seat(i, open));
    for (const seat of seats) levels.get(seat.path.at(-1)).items.add(seat.id);
    for (const wire of this.model.wires) {
      const from = seats[wire.from], to = seats[wire.to];
      if (from.id === to.id) continue;
      const gradient = this.model.boxes[wire.from].gradient;
      const add = (module, a, b) => {
        const wires = levels.get(module).wires, key = a + '>' + b;
        if (!wires.has(key) || wires.get(key).kind === 'saved') wires.set(key, {from: a, to: b, kind: wire.kind});
      };
      let shared = 0;
      while (shared < from.path.length && from.path[shared] === to.path[shared]) ++shared;
      let start = from.id, end = to.id;
      for (const m of from.path.slice(shared).reverse()) {
        levels.get(m).ports.set('out ' + from.id, gradient);
        add(m, start, 'out ' + from.id);
        start = `c${m} out ${from.id}`;
      }
      for (const m of to.path.slice(shared).reverse()) {
        levels.get(m).ports.set('in ' + from.id, gradient);
        add(m, 'in ' + from.id, end);
        end = `c${m} in ${from.id}`;
      }
      add(from.path[shared - 1], start, end);
    }
    return levels;
  }
}
