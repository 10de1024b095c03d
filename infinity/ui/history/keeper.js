// The history of this browser: entries in its own storage, which the page's parts share as
// `window.infinityHistory`. Gradio runs this as the page loads, with `props` and `watch`.
const KEY = `infinity-history:${location.pathname}`, OFF = `${KEY}:off`, STARS = `${KEY}:stars`, MOST = 300;
const CHANGED = 'infinity-history-changed';
let unsaved = [];

const storage = use => {
  try { return IS_KEPT ? use(localStorage) : undefined } catch { return undefined }
};
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
  unsaved = list.filter((entry, i) => i < MOST || isStarred(entry.id));
  const allowed = storage(s => s.getItem(KEY)) !== undefined;
  while (allowed && !storage(s => { s.setItem(KEY, JSON.stringify(unsaved)); return true }) && unsaved.length)
    unsaved = unsaved.slice(0, Math.floor(unsaved.length * 0.8));  // full: the oldest go
  tell();
}

const turn = on => {
  storage(s => on ? s.removeItem(OFF) : s.setItem(OFF, 'yes'));
  tell();
};

let unsavedStars = [];
const stars = () => {
  try { return [].concat(JSON.parse(storage(s => s.getItem(STARS)) ?? 'null') ?? unsavedStars) } catch { return [] }
};
const isStarred = id => stars().includes(id);
const star = id => {
  unsavedStars = isStarred(id) ? stars().filter(one => one !== id) : [...stars(), id];
  storage(s => s.setItem(STARS, JSON.stringify(unsavedStars)));
  tell();
};
// An entry as `infinityPictures` shows it.
const picture = entry => ({
  source: entry.source ?? entry.thumbnail, download: entry.source && entry.id.split('/').at(-1),
  seed: entry.request?.seed, words: entry.words,
});

window.infinityHistory = {CHANGED, isOff, read, write, turn, isStarred, star, picture};
window.addEventListener('storage', event => { if (event.key === KEY || event.key === OFF) tell() });
watch('value', () => {
  const added = props.value || [];
  const known = new Set(added.map(entry => entry.id));
  if (added.length && !isOff()) write([...added, ...read().filter(entry => !known.has(entry.id))]);
});
tell();
