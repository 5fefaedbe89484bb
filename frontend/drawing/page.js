/** What is on the screen, and what a reader does with it. */
const all = JSON.parse(document.getElementById('graph').textContent), byId = id => document.getElementById(id);
const view = byId('view'), world = byId('world');
const state = {shown: 0, tab: 0, before: false, alone: false, half: 0, open: undefined, at: {x: 0, y: 0, scale: 1}};
let graph, layout;

const items = () => [...world.querySelectorAll('.item')];
const idOf = node => node?.closest?.('.item')?.dataset.id;
/** The item with an id; of a gradient that has no item of its own any more, its module. */
const find = id => items().find(item => item.dataset.id === id) || items().find(item => item.dataset.id + 'g' === id);
const say = text => byId('say').textContent = text;

// ---- The camera

const move = () => world.setAttribute('transform', `translate(${state.at.x} ${state.at.y}) scale(${state.at.scale})`);
function shift(dx, dy) {
  if (!dx && !dy) return;
  state.at = {...state.at, x: state.at.x + dx, y: state.at.y + dy};
  state.fitted = false;
  move();
}
function fit() {
  const room = view.getBoundingClientRect(), {width, height} = layout.top;
  const scale = Math.max(.02, Math.min((room.width - 24) / width, (room.height - 24) / height, 1.6));
  state.at = {x: (room.width - width * scale) / 2, y: (room.height - height * scale) / 2, scale};
  state.fitted = true;
  move();
}
/** At a point of the view, by default its middle. */
function zoom(factor, x, y) {
  const room = view.getBoundingClientRect(), {at} = state, scale = Math.max(.02, Math.min(6, at.scale * factor));
  x ??= room.width / 2;
  y ??= room.height / 2;
  state.at = {x: x - (x - at.x) * scale / at.scale, y: y - (y - at.y) * scale / at.scale, scale};
  state.fitted = false;
  move();
}
/** Brings an item into the view if it is outside. */
function reach(item) {
  const room = view.getBoundingClientRect(), spot = (item.querySelector(':scope > text') || item).getBoundingClientRect();
  const push = (low, high, from, to) => low < from ? from - low : high > to ? to - high : 0;
  shift(push(spot.left, spot.right, room.left + 40, room.right - 40), push(spot.top, spot.bottom, room.top + 40, room.bottom - 40));
}

// ---- What is drawn

const narrow = () => view.getBoundingClientRect().width < 600;
/** What is open at first: nothing, where there is little room. */
const overview = () => graph.start(!narrow());

function draw() {
  const focus = idOf(document.activeElement);
  layout = new Layout(graph, state.open);
  world.replaceChildren();
  drawLevel(graph, layout.top, 0, 0, 0, world, state.alone);
  const start = find(focus) || items()[0];
  start?.setAttribute('tabindex', 0);
  if (focus) start?.focus({preventScroll: true});
}
/** Redraws after `change`; what stands at `id` stays where it is on the screen. */
function keeping(id, change) {
  const before = find(id)?.getBoundingClientRect();
  change();
  draw();
  const after = find(id)?.getBoundingClientRect();
  if (before && after) shift(before.x - after.x, before.y - after.y);
}
function toggle(id) {
  if (id?.[0] !== 'm') return;
  const name = graph.names[parseInt(id.slice(1))];
  keeping(id, () => {
    if (!state.open.has(name)) state.open.add(name);
    else for (const other of [...state.open]) if (other === name || other.startsWith(name + '/')) state.open.delete(other);
  });
}
/** The model of the tab; or the one before it, where what the pass removes is marked. */
function modelShown() {
  const {tabs} = all.graphs[state.shown], {model} = tabs[state.tab];
  if (!state.before || !state.tab) return model;
  const gone = new Set(model.gone), earlier = tabs[state.tab - 1].model;
  return {...earlier, boxes: earlier.boxes.map((box, i) => ({...box, change: gone.has(i) ? 'gone' : ''}))};
}
function show() {
  const {says} = all.graphs[state.shown].tabs[state.tab];
  graph = new Graph(modelShown());
  state.open ??= overview();
  program.link(graph.model.boxes.map(box => box.place));
  showLegend(byId('legend').querySelector('ul'), legendOf(graph.model, all.graphs[state.shown].tabs.length > 1));
  byId('before').disabled = !state.tab;
  byId('before').setAttribute('aria-pressed', String(state.before && state.tab > 0));
  byId('tabs').querySelectorAll('button').forEach((button, i) => button.setAttribute('aria-selected', String(i === state.tab)));
  draw();
  if (says) say(says);
}
function tabOf({name, says, model}, i) {
  const count = kind => model.boxes.filter(box => box.change === kind).length;
  const counts = [['+', 'new', count('new')], ['−', 'gone', model.gone.length], ['⊕', 'fused', count('fused')], ['↔', 'moved', count('moved')]]
    .filter(([,, number]) => i && number);
  const button = Object.assign(document.createElement('button'), {
    textContent: name, title: says,
    onclick: () => {
      state.tab = i;
      show();
    },
  });
  button.setAttribute('role', 'tab');
  button.setAttribute('aria-label', [name, ...counts.map(([, word, number]) => number + ' ' + word)].join(', '));
  button.append(Object.assign(document.createElement('small'), {textContent: counts.map(([sign,, number]) => sign + number).join(' ')}));
  return button;
}
function showGraph(which) {
  const {tabs} = all.graphs[which];
  // What was measured is the graph after the last pass.
  Object.assign(state, {shown: which, tab: Math.max(0, tabs.findIndex(tab => tab.model.measured)), open: undefined});
  byId('tabs').replaceChildren(...(tabs.length > 1 ? tabs.map(tabOf) : []));
  byId('before').hidden = byId('changes').hidden = tabs.length < 2;
  show();
  fit();
  const smallest = 11, readable = 8;  // letters, in pixels
  if (narrow() && state.at.scale * smallest < readable) zoom(readable / smallest / state.at.scale);
}

// ---- What is found

function tell(id) {
  const item = graph.item(id);
  say([item.label, item.work, item.detail, item.only, item.tip, item.change, item.place].filter(Boolean).join('   ').replaceAll('\n', ', '));
  program.mark(item.place);
  const pair = graph.pair(id);
  for (const other of items()) other.classList.toggle('pair', other.dataset.id === pair);
}
/** Marks the boxes that `wanted` holds for, or the closed modules they are in; gives their numbers. */
function mark(wanted) {
  const hits = graph.model.boxes.flatMap((box, i) => wanted?.(box) ? [i] : []);
  const seats = new Set(hits.map(i => graph.seat(i, state.open).id));
  for (const item of items()) item.classList.toggle('hit', seats.has(item.dataset.id));
  return hits;
}
const searched = text => box => `${box.label} ${box.detail || ''} ${box.place || ''}`.toLowerCase().includes(text);
let next = 0;
function search() {
  const text = byId('find').value.trim().toLowerCase(), hits = mark(text && searched(text));
  next = 0;
  if (text) say(`${hits.length} boxes have “${text}”; Enter goes from one to the next`);
}
/** Opens what the next box that was found is in, and goes there. */
function reveal() {
  const text = byId('find').value.trim().toLowerCase(), hits = mark(text && searched(text));
  if (!hits.length) return;
  const hit = hits[next++ % hits.length];
  for (const m of graph.path(graph.model.boxes[hit].module)) state.open.add(graph.names[m]);
  draw();
  mark(searched(text));
  const item = find('b' + hit);
  if (state.at.scale < .7) zoom(.9 / state.at.scale);
  reach(item);
  tell('b' + hit);
  say(`${(next - 1) % hits.length + 1} of ${hits.length}: ` + byId('say').textContent);
}
const program = new Program(byId('program'), all.sources, (file, line) => {
  const hits = mark(box => program.linesAt(box.place).some(at => at.file === file && at.line === line));
  say(`${hits.length} boxes come from ${all.sources[file].name}:${line}`);
  const first = world.querySelector('.hit');
  if (first) reach(first);
});

// ---- Keys, buttons, pointers

const halves = [['', 'Forward and gradient'], ['only-forward', 'Forward'], ['only-gradient', 'Gradient']];
const actions = {
  unfold: () => {
    for (const name of graph.names) state.open.add(name);
    draw();
    fit();
  },
  fold: () => {
    state.open = overview();
    draw();
    fit();
  },
  half: () => {
    state.half = (state.half + 1) % halves.length;
    world.setAttribute('class', halves[state.half][0]);
    byId('half').textContent = halves[state.half][1];
  },
  before: () => {
    state.before = !state.before;
    show();
  },
  changes: () => {
    state.alone = !state.alone;
    byId('changes').setAttribute('aria-pressed', String(state.alone));
    draw();
  },
  legend: () => {
    byId('legend').open = !byId('legend').open;
  },
  closer: () => zoom(1.25),
  further: () => zoom(.8),
  fit,
};
for (const [id, action] of Object.entries(actions)) if (byId(id).tagName === 'BUTTON') byId(id).onclick = action;
const keys = {o: 'unfold', f: 'fold', g: 'half', b: 'before', c: 'changes', l: 'legend', '+': 'closer', '-': 'further', 0: 'fit'};
const arrows = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

/** The item that is next to another in a direction. */
function neighbour(item, [dx, dy]) {
  const centre = node => {
    const {left, right, top, bottom} = (node.querySelector(':scope > text') || node).getBoundingClientRect();
    return {x: (left + right) / 2, y: (top + bottom) / 2};
  };
  const from = centre(item);
  let best, least = Infinity;
  for (const other of items()) {
    const to = centre(other), along = (to.x - from.x) * dx + (to.y - from.y) * dy;
    const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
    if (other === item || along < 1 || along + 2.5 * aside >= least) continue;
    best = other;
    least = along + 2.5 * aside;
  }
  return best;
}
function arrow(event) {
  const step = arrows[event.key], item = event.target.closest('.item');
  if (!item || event.shiftKey) return shift(-60 * step[0], -60 * step[1]);
  const other = neighbour(item, step);
  if (!other) return;
  other.focus({preventScroll: true});
  reach(other);
}
onkeydown = event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target === byId('find')) {
    if (event.key === 'Escape') event.target.blur();
    if (event.key === 'Enter') reveal();
    return;
  }
  if (event.target.tagName === 'SELECT') return;
  const inside = view.contains(event.target) || event.target === document.body;
  if (event.key === '/') byId('find').focus();
  else if (keys[event.key] && !byId(keys[event.key]).disabled) actions[keys[event.key]]();
  else if (inside && arrows[event.key]) arrow(event);
  else if (inside && (event.key === 'Enter' || event.key === ' ')) toggle(idOf(event.target));
  else return;
  event.preventDefault();
};

/** Pointers that are down; one drags, two zoom. */
const pointers = new Map();
let dragged = 0;
const spread = () => {
  const [a, b] = [...pointers.values()];
  return {far: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2};
};
view.onpointerdown = event => {
  if (!pointers.size) dragged = 0;
  pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
};
onpointermove = event => {
  const last = pointers.get(event.pointerId);
  if (!last) return;
  const before = pointers.size === 2 && spread(), dx = event.clientX - last.x, dy = event.clientY - last.y;
  pointers.set(event.pointerId, {x: event.clientX, y: event.clientY});
  dragged += Math.abs(dx) + Math.abs(dy);
  if (!before) return shift(dx, dy);
  const after = spread(), room = view.getBoundingClientRect();
  zoom(after.far / Math.max(before.far, 1), after.x - room.x, after.y - room.y);
};
onpointerup = onpointercancel = event => {
  const id = idOf(event.target), clicked = pointers.delete(event.pointerId) && dragged < 5 && event.type === 'pointerup';
  // Between the boxes of an open module one can click without consequences.
  if (clicked && (event.target.classList.contains('title') || event.target.closest('.item')?.getAttribute('aria-expanded') === 'false'))
    toggle(id);
};
view.addEventListener('wheel', event => {
  event.preventDefault();
  const room = view.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 400), event.clientX - room.x, event.clientY - room.y);
}, {passive: false});
for (const kind of ['mouseover', 'focusin'])
  view.addEventListener(kind, event => {
    const item = event.target.closest('.item');
    if (!item) return;
    tell(item.dataset.id);
    if (kind === 'mouseover') return;
    for (const other of items()) other.setAttribute('tabindex', other === item ? 0 : -1);
  });
byId('find').oninput = search;
byId('legend').open = innerWidth > 700;
all.graphs.forEach(({title}, i) => byId('graphs').append(new Option(title, i)));
byId('graphs').hidden = all.graphs.length < 2;
byId('graphs').onchange = event => showGraph(+event.target.value);
showGraph(0);
new ResizeObserver(() => state.fitted && fit()).observe(view);
