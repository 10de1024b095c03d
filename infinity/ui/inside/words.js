// The words of the prompt. Which is pressed is said by the event 'select'; its maps come back in
// `props.value` and go on to the viewer.
let run = null;
function changed() {
  const value = props.value;
  if (value?.maps) window.dispatchEvent(new CustomEvent('infinity-word', {detail: value}));
  if (!value || (value.run === run && element.firstChild)) return;
  run = value.run;
  const list = document.createElement('p');
  list.className = 'prompt-words';
  list.setAttribute('role', 'group');
  list.setAttribute('aria-label', 'Words of the prompt; one that is pressed shows its map');
  list.append(...value.words.map((word, number) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = word;
    button.dataset.number = number;
    button.setAttribute('aria-pressed', false);
    return button;
  }));
  const hint = document.createElement('span');
  hint.className = 'about';
  hint.textContent = 'Press a word to see where the picture looked at it.';
  list.append(hint);
  element.replaceChildren(list);
}
element.addEventListener('click', (event) => {
  const pressed = event.target.closest('button');
  if (!pressed) return;
  element.querySelectorAll('button').forEach((button) => button.setAttribute('aria-pressed', button === pressed));
  trigger('select', {number: Number(pressed.dataset.number)});
});
watch('value', changed);
changed();
