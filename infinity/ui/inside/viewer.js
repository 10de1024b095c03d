// The picture so far and a map beside it, for one or two pictures with the same controls. All of it is in
// `props.value`; the server is asked for a token's bits alone, by the event 'select'.
// Texts are only ever set as text.
const find = (selector) => element.querySelector(selector);
let scale = null;   // null is the last one
let kind = 'entropy';
let word = null;    // what words.js says of the chosen word
let row = 0, column = 0;
const mixes = {word: 40};

const make = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const value = () => props.value;
const shown = () => scale ?? value().scales.length - 1;
const kinds = () => word ? [...value().kinds, word.kind] : value().kinds;
const chosen = () => kinds().find((each) => each.name === kind) ?? value().kinds[0];
const mapOf = (side, index) => kind === 'word' && word
  ? word.maps[side][index] : value().sides[side].maps[chosen().name][index];
const size = (index) => `${value().scales[index].height} × ${value().scales[index].width}`;

function draw() {
  const section = find('.inside');
  section.hidden = !value();
  if (!value()) return;
  const index = shown(), now = chosen(), {height, width} = value().scales[index];
  row = Math.min(row, height - 1);
  column = Math.min(column, width - 1);
  const select = find('.kind');
  select.replaceChildren(...kinds().map((each) => new Option(each.title, each.name)));
  select.value = kind = now.name;
  find('.kind-about').textContent = now.about;
  find('.mix').value = mixes[kind] ?? 0;
  section.style.setProperty('--strength', 1 - (mixes[kind] ?? 0) / 100);
  section.style.setProperty('--aspect', value().aspect);
  find('.sides').replaceChildren(...value().sides.map((side, number) => drawSide(side, number, index, now)));
  const map = mapOf(0, index), legend = section.querySelector('.map-legend');
  legend.querySelector('.low').textContent = map.low;
  legend.querySelector('.high').textContent = map.high;
  legend.querySelector('.unit').textContent = now.unit;
  legend.querySelector('i').style.background = `linear-gradient(90deg, ${now.colors})`;
  drawSteps(index);
  drawTable(now);
  point();
}

function drawSide(side, number, index, now) {
  const made = make('div', 'side');
  made.append(make('h3', '', side.title));
  const map = mapOf(number, index), pair = made.appendChild(make('div', 'pair'));
  pair.append(
    figure(`After scale ${index + 1} of ${value().scales.length}`, [[side.pictures[index], 'The picture so far', '']]),
    figure(now.title, [[side.pictures[index], '', ''], [map.source, `${now.title}: ${map.alt}`, `map is-${now.name}`]]));
  return made;
}

function figure(caption, layers) {
  const made = make('figure'), field = made.appendChild(make('button', 'field'));
  field.type = 'button';
  for (const [source, alt, className] of layers) {
    const image = field.appendChild(make('img', className));
    image.src = source;
    image.alt = alt;
  }
  field.append(make('i', 'cursor'));
  made.append(make('figcaption', '', caption));
  return made;
}

function drawSteps(index) {
  const list = find('.steps'), hadFocus = list.contains(document.activeElement);
  list.replaceChildren(...value().scales.map((each, number) => {
    const item = make('li'), button = item.appendChild(make('button'));
    button.type = 'button';
    button.dataset.scale = number;
    button.setAttribute('aria-current', number === index);
    button.setAttribute('aria-label', `Scale ${number + 1}: ${size(number)} tokens; ${chosen().title}: ${mapOf(0, number).alt}`);
    const image = button.appendChild(make('img', `map is-${kind}`));
    image.src = mapOf(0, number).source;
    image.alt = '';
    button.append(make('b', '', size(number)));
    return item;
  }));
  if (hadFocus) list.children[index].firstChild.focus();
}

function drawTable(now) {
  const table = make('table'), head = table.appendChild(make('thead')).appendChild(make('tr'));
  const sides = value().sides, several = sides.length > 1;
  for (const name of ['Scale', 'Tokens', ...several ? ['Picture'] : [], 'Lowest', 'Mean', 'Highest']) {
    head.append(make('th', '', name));
  }
  const body = table.appendChild(make('tbody'));
  value().scales.forEach((_, index) => sides.forEach((_, side) => {
    const map = mapOf(side, index), line = body.appendChild(make('tr'));
    for (const text of [index + 1, size(index), ...several ? [side + 1] : [], map.least, map.mean, map.most]) {
      line.append(make('td', '', text));
    }
  }));
  table.prepend(make('caption', '', `${now.title}, ${now.unit}`));
  find('.numbers .table').replaceChildren(table);
}

// The place that is pointed at: its frame, its numbers, and what a screen reader hears.
function point() {
  const {height, width} = value().scales[shown()];
  const place = `row ${row + 1} of ${height}, column ${column + 1} of ${width}`;
  for (const cursor of element.querySelectorAll('.cursor')) {
    cursor.style.cssText = `left:${100 * column / width}%;top:${100 * row / height}%;`
      + `width:${100 / width}%;height:${100 / height}%`;
  }
  element.querySelectorAll('.field').forEach((field) => field.setAttribute('aria-label',
    `${[...field.querySelectorAll('img')].map((image) => image.alt).filter(Boolean).join('; ')}. Arrow keys go to another place, Enter shows its bits: ${place}`));
  find('.row').max = height;
  find('.column').max = width;
  find('.row').value = row + 1;
  find('.column').value = column + 1;
  find('.said').textContent = `Scale ${shown() + 1}, ${place}`;
}

function move(down, right) {
  const {height, width} = value().scales[shown()];
  row = Math.max(0, Math.min(height - 1, down));
  column = Math.max(0, Math.min(width - 1, right));
  point();
}

const ask = () => trigger('select', {scale: shown(), row, column});

element.addEventListener('click', (event) => {
  const field = event.target.closest('.field'), step = event.target.closest('.steps button');
  if (step) {
    scale = Number(step.dataset.scale);
    draw();
  } else if (field) {
    if (event.detail) {  // pressed with a pointer, not with Enter
      const box = field.getBoundingClientRect(), {height, width} = value().scales[shown()];
      move(Math.floor((event.clientY - box.top) / box.height * height),
        Math.floor((event.clientX - box.left) / box.width * width));
    }
    ask();
  }
});
element.addEventListener('submit', (event) => {
  event.preventDefault();
  move(Number(find('.row').value) - 1, Number(find('.column').value) - 1);
  ask();
});
element.addEventListener('change', (event) => {
  if (event.target.matches('.kind')) { kind = event.target.value; draw(); }
  if (event.target.matches('.row, .column')) move(Number(find('.row').value) - 1, Number(find('.column').value) - 1);
});
element.addEventListener('input', (event) => {
  if (!event.target.matches('.mix')) return;
  mixes[kind] = Number(event.target.value);
  find('.inside').style.setProperty('--strength', 1 - mixes[kind] / 100);
});
element.addEventListener('keydown', (event) => {
  const by = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
  if (!by) return;
  if (event.target.closest('.field')) {
    event.preventDefault();
    move(row + by[0], column + by[1]);
  } else if (event.target.closest('.steps')) {
    event.preventDefault();
    scale = Math.max(0, Math.min(value().scales.length - 1, shown() + by[0] + by[1]));
    draw();
  }
});
window.addEventListener('infinity-word', (event) => {
  if (!value() || event.detail.run !== value().run) return;
  word = event.detail;
  kind = 'word';
  draw();
});
let run = null;
function changed() {
  if (value() && value().run === run && find('.steps').children.length) return;  // sent again with a flip
  run = value()?.run ?? null;
  scale = word = null;
  draw();
}
watch('value', changed);
changed();
