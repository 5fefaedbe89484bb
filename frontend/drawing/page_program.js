/** The program's text: its lines, and what of the drawing comes from them. */
class Program {
  /** `sources`: files with names and texts; `chosen(file, line)` is called for a line that is clicked or entered. */
  constructor(host, sources, chosen) {
    this.names = sources.map(source => source.name);
    this.rows = sources.map(({name, text}, file) => {
      const head = document.createElement('h2');
      head.textContent = name;
      const rows = text.split('\n').map((line, i) => {
        const row = document.createElement('div'), number = document.createElement('i');
        number.textContent = i + 1;
        row.append(number, line);
        row.onclick = () => chosen(file, i + 1);
        row.onkeydown = event => {
          if (event.key === 'Enter') chosen(file, i + 1);
          else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') this.step(row, event.key === 'ArrowDown' ? 1 : -1);
          else return;
          event.preventDefault();
          event.stopPropagation();
        };
        return row;
      });
      host.append(head, ...rows);
      return rows;
    });
    host.hidden = !sources.length;
  }
  /** The lines that a place names: where it is, then where that was called from. */
  linesAt(place) {
    return (place || '').split(' < ').map(part => {
      const [, name, line] = part.match(/^(.*):(\d+):\d+$/) || [], file = this.names.indexOf(name);
      return {file, line: +line};
    }).filter(({file}) => file >= 0);
  }
  /** Lines that `places` name can be chosen. */
  link(places) {
    const known = new Set(places.flatMap(place => this.linesAt(place)).map(({file, line}) => file + ':' + line));
    this.linked = [];
    this.rows.forEach((rows, file) => rows.forEach((row, i) => {
      const linked = known.has(file + ':' + (i + 1));
      row.classList.toggle('linked', linked);
      for (const [name, value] of [['tabindex', this.linked.length ? -1 : 0], ['role', 'button']])
        if (linked) row.setAttribute(name, value);
        else row.removeAttribute(name);
      if (linked) this.linked.push(row);
    }));
  }
  step(row, by) {
    const next = this.linked[this.linked.indexOf(row) + by];
    if (!next) return;
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
  mark(place) {
    for (const row of this.marked || []) row.classList.remove('on', 'caller');
    this.marked = this.linesAt(place).map(({file, line}) => this.rows[file][line - 1]).filter(Boolean);
    this.marked.forEach((row, i) => row.classList.add(i ? 'caller' : 'on'));
    this.marked[0]?.scrollIntoView({block: 'nearest'});
  }
}
