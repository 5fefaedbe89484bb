/** Tries a page as its readers would; tells what frames it what is wrong, or "fine" and how much there was to see. */
{
  const wrong = [];
  const expect = (holds, what) => holds || wrong.includes(what) || wrong.push(what);
  const press = (key, node = document.activeElement) => node.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true, cancelable: true}));
  const closed = () => items().filter(item => item.getAttribute('aria-expanded') === 'false').map(item => item.dataset.id);
  const inside = (a, b) => a.left > b.left - 1 && a.right < b.right + 1 && a.top > b.top - 1 && a.bottom < b.bottom + 1;
  const overlap = (a, b) => a.left + 1 < b.right && b.left + 1 < a.right && a.top + 1 < b.bottom && b.top + 1 < a.bottom;

  function checkPlaces(where) {
    const frames = items().map(item => [item, item.querySelector(':scope > rect:last-of-type').getBoundingClientRect()]);
    for (const [item, frame] of frames) {
      const outer = item.parentNode.closest('.item');
      if (outer) expect(inside(frame, outer.querySelector(':scope > rect:last-of-type').getBoundingClientRect()), `${where}: ${item.dataset.id} leaves its module`);
      for (const [other, at] of frames)
        if (other !== item && other.parentNode === item.parentNode) expect(!overlap(frame, at), `${where}: ${item.dataset.id} is on ${other.dataset.id}`);
    }
    for (const path of world.querySelectorAll('path')) expect(!/NaN|undefined/.test(path.getAttribute('d')), `${where}: a wire leads nowhere`);
  }
  let seen = 0;
  function checkTab(where) {
    expect(items().length > 0, where + ': is empty');
    expect(items().filter(item => item.tabIndex === 0).length === 1, where + ': not one stop of the Tab key');
    for (const item of items()) expect(item.getAttribute('aria-label'), where + ': a box without a name');
    checkPlaces(where);
    const before = items().length;
    for (const id of closed().slice(0, 3)) {
      find(id).focus();
      press('Enter');
      expect(find(id.replace('g', ''))?.getAttribute('aria-expanded') === 'true', `${where}: ${id} stays closed`);
      checkPlaces(where);
      find(id.replace('g', '')).focus();
      press('Enter');
      expect(items().length === before, `${where}: ${id} does not fold`);
    }
    press('o');
    expect(!closed().length, where + ': Open all leaves some closed');
    checkPlaces(where + ', all open');
    seen += items().length;
    press('f');
    expect(items().length === before, where + ': Fold does not fold all');
  }
  function checkReader() {
    const small = Math.min(...[...world.querySelectorAll('text')].map(text => parseFloat(getComputedStyle(text).fontSize))) * state.at.scale;
    expect(innerWidth > 700 || small > 7.99, `letters of ${small.toFixed(1)} px at first`);
    if (graph.model.measured) expect(world.querySelector('.heat > title'), 'no box says what it took');
    const first = items()[0];
    first.focus();
    const reached = new Set([first.dataset.id]);
    for (const key of ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight']) {
      press(key);
      reached.add(document.activeElement.dataset.id);
    }
    expect(reached.size > 1, 'arrows go nowhere');
    expect(byId('say').textContent, 'nothing is said of a box');
    byId('find').value = 'softmax';
    byId('find').dispatchEvent(new Event('input'));
    expect(world.querySelector('.hit'), 'softmax is not found');
    press('Enter', byId('find'));
    expect(/^1 of \d+: .*softmax/i.test(byId('say').textContent), 'Enter does not go to what is found');
    const line = program.linked[Math.floor(program.linked.length / 2)];
    line.click();
    expect(world.querySelector('.hit'), 'a line of the program marks no box');
    items().find(item => item.dataset.id === world.querySelector('.hit').dataset.id).focus();
    expect(document.querySelector('#program .on'), 'a box marks no line');
    const {height} = view.getBoundingClientRect();
    say('a long text '.repeat(99));
    expect(view.getBoundingClientRect().height === height, 'what is said moves the drawing');
    const legend = byId('legend');
    expect(legend.open === innerWidth > 700, 'the legend is open where there is no room, or folded where there is');
    press('l', document.body);
    expect(legend.open === innerWidth <= 700, 'the key l does not turn the legend');
    expect(legend.querySelectorAll('li svg rect').length > 4, 'the legend shows no boxes');
    press('l', document.body);
    press('g');
    expect(world.getAttribute('class') === 'only-forward', 'halves are not taken apart');
    press('g');
    press('g');
    press('f', document.body);
    expect(document.documentElement.scrollWidth <= innerWidth, 'wider than the window');
    expect(view.getBoundingClientRect().height > 250, 'little room for the drawing');
    expect(!performance.getEntriesByType('resource').length, 'something was loaded');
  }
  try {
    all.graphs.forEach(({title, tabs}, i) => {
      showGraph(i);
      tabs.forEach((tab, t) => {
        if (t) byId('tabs').children[t].click();
        checkTab(`${title}, ${tab.name}`);
      });
      if (tabs.length > 1) {
        press('b', document.body);
        const {gone} = all.graphs[i].tabs[state.tab].model;
        expect(graph.model.boxes.filter(box => box.change === 'gone').length === gone.length, title + ': what goes is not marked');
        press('b', document.body);
      }
    });
    showGraph(0);
    checkReader();
  } catch (error) {
    wrong.push(String(error.stack));
  }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  parent.postMessage(`${dark}, ${wrong.length ? wrong.slice(0, 5).join('; ') : `fine, ${seen} boxes`}`, '*');
}
