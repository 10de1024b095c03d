// The history of this browser: entries in its own storage, which the page's parts share as
// `window.infinityHistory`. Gradio runs this as the page loads, with `props` and `watch`.
const KEY = `infinity-history:${location.pathname}`, OFF = `${KEY}:off`, MOST = 300;
const CHANGED = 'infinity-history-changed';
let unsaved = [];

const storage = use => { try { return use(localStorage) } catch { return undefined } };
const isOff = () => storage(s => s.getItem(OFF)) === 'yes';
const tell = () => window.dispatchEvent(new Event(CHANGED));

function read() {
  const text = storage(s => s.getItem(KEY));
  if (text === undefined) return unsaved;  // storage is forbidden: the list lasts as long as the page
  try {
    const list = JSON.parse(text || '[]');
    return Array.isArray(list) ? list.filter(e => e && e.id && typeof e.thumbnail === 'string') : [];
  } catch { return [] }
}

function write(list) {
  unsaved = list.slice(0, MOST);
  const allowed = storage(s => s.getItem(KEY)) !== undefined;
  while (allowed && !storage(s => { s.setItem(KEY, JSON.stringify(unsaved)); return true }) && unsaved.length)
    unsaved = unsaved.slice(0, Math.floor(unsaved.length * 0.8));  // full: the oldest go
  tell();
}

const turn = on => {
  storage(s => on ? s.removeItem(OFF) : s.setItem(OFF, 'yes'));
  tell();
};

window.infinityHistory = {CHANGED, isOff, read, write, turn};
window.addEventListener('storage', event => { if (event.key === KEY || event.key === OFF) tell() });
watch('value', () => {
  const added = props.value || [];
  const known = new Set(added.map(entry => entry.id));
  if (added.length && !isOff()) write([...added, ...read().filter(entry => !known.has(entry.id))]);
});
