// The tree of pictures, and the current one before and after. Gradio runs this as the page loads, with
// `element`, `props`, `trigger` and `watch`; the events it sends stand in quotes: 'select', 'undo', 'redo'.
const make = (tag, className) => Object.assign(document.createElement(tag), {className});
const find = (selector) => element.querySelector(selector);

function branch(node, value) {
  const item = make('li', ''), button = item.appendChild(make('button', ''));
  button.type = 'button';
  button.dataset.number = node.number;
  button.title = node.label;
  button.setAttribute('aria-label', node.label);
  button.setAttribute('aria-current', String(node.number === value.current));
  const image = button.appendChild(make('img', ''));
  image.src = node.source;
  image.alt = '';
  const children = value.nodes.filter((other) => other.parent === node.number);
  if (children.length) item.append(branches(children, value));
  return item;
}

function branches(nodes, value) {
  const list = make('ul', '');
  list.append(...nodes.map((node) => branch(node, value)));
  return list;
}

function draw() {
  const value = props.value;
  if (!value || !find('.branches')) return;
  const focused = document.activeElement?.closest?.('#edit-tree [data-number]')?.dataset.number;
  find('.tree').hidden = !value.nodes.length;
  find('.branches').replaceChildren(branches(value.nodes.filter((node) => !node.parent), value));
  if (focused) find(`[data-number="${focused}"]`)?.focus();
  find(`[data-number="${value.current}"]`)?.scrollIntoView({block: 'nearest', inline: 'nearest'});
  find('[data-do=undo]').disabled = !value.undo;
  find('[data-do=redo]').disabled = !value.redo;

  const pair = find('.before-after');
  pair.hidden = !value.before;
  if (!value.before) return;
  find('.after').src = value.after;
  find('.before').src = value.before;
  find('.region').src = value.region;
  find('label').hidden = !value.region;
  find('footer p').textContent = value.facts;
  const link = find('footer a');
  link.href = value.after;
  link.download = value.download;
  compare();
}

function compare() {
  find('figure').style.setProperty('--cut', `${find('input[type=range]').value}%`);
  find('.region').hidden = !props.value.region || !find('input[type=checkbox]').checked;
}

// To the picture before, the first or last of what came of one, or the ones beside it.
function step(key, item) {
  const list = item.parentElement;
  if (key === 'ArrowLeft') return list.parentElement.closest('li');
  if (key === 'ArrowRight') return item.querySelector('li');
  if (key === 'ArrowUp') return item.previousElementSibling;
  if (key === 'ArrowDown') return item.nextElementSibling;
  return null;
}

element.addEventListener('click', (event) => {
  const act = event.target.closest('[data-do]')?.dataset.do;
  if (act === 'undo') trigger('undo');
  if (act === 'redo') trigger('redo');
  const button = event.target.closest('[data-number]');
  if (button) trigger('select', {number: Number(button.dataset.number)});
});
element.addEventListener('keydown', (event) => {
  const item = event.target.closest('.branches li');
  const next = item && step(event.key, item);
  if (!next) return;
  event.preventDefault();
  next.querySelector('button').focus();
});
element.addEventListener('input', compare);
watch('value', draw);
draw();
