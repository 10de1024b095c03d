// The list of the history as cards; only what is chosen is sent to the server. Gradio runs this when
// the tab is first opened, with `element`, `props`, `trigger` and `watch`; the events it sends stand
// in quotes: 'select', 'pack', 'clear'.
const kept = window.infinityHistory;
let chosen = null;
let isStarred = false;  // show those with a star alone

function card(entry) {
  const item = document.createElement('li'), button = document.createElement('button');
  const image = document.createElement('img'), words = document.createElement('span');
  button.type = 'button';
  button.title = entry.words;
  button.setAttribute('aria-pressed', String(entry.id === chosen));
  image.src = entry.thumbnail.startsWith('data:image/webp;base64,') ? entry.thumbnail : '';
  image.alt = '';
  words.textContent = (kept.isStarred(entry.id) ? '★ ' : '') + entry.words;
  button.append(image, words);
  button.onclick = () => { chosen = entry.id; mark(); trigger('select', {entry}) };
  button.dataset.id = entry.id;
  item.append(button);
  return item;
}

const mark = () => element.querySelectorAll('.cards button').forEach(
  b => b.setAttribute('aria-pressed', String(b.dataset.id === chosen)));

function draw() {
  const all = kept.read(), list = isStarred ? all.filter(entry => kept.isStarred(entry.id)) : all;
  const count = list.length;
  element.querySelector('.count').textContent = count
    ? `${count} picture${count > 1 ? 's' : ''}`
    : isStarred ? 'No picture has a star.' : kept.isOff() ? 'No history is kept.' : 'Every picture you finish will be listed here.';
  element.querySelector('.cards').replaceChildren(...list.map(card));
  element.querySelector('.keep input').checked = !kept.isOff();
  for (const name of ['pack', 'clear']) element.querySelector(`[data-do=${name}]`).hidden = !all.length;
  element.querySelector('[data-do=starred]').setAttribute('aria-pressed', isStarred);
}

function wire() {
  element.querySelector('.keep input').onchange = event => kept.turn(event.target.checked);
  element.querySelector('[data-do=pack]').onclick = () =>
    trigger('pack', {files: kept.read().map(entry => entry.file)});
  element.querySelector('[data-do=starred]').onclick = () => { isStarred = !isStarred; draw() };
  element.querySelector('[data-do=clear]').onclick = () => {
    if (!confirm('Remove all pictures from the history of this browser?')) return;
    chosen = null;
    kept.write([]);
    trigger('clear', {});
  };
  draw();
}

watch('value', () => {
  const command = props.value || {};
  wire();  // Gradio has drawn the template anew
  if (command.remove) { chosen = null; kept.write(kept.read().filter(entry => entry.id !== command.remove)); }
  if (command.fetch) {
    const link = document.createElement('a');
    link.href = command.fetch;
    link.download = command.name;
    link.click();
  }
});
window.addEventListener(kept.CHANGED, draw);
wire();
