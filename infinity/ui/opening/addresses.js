// The address of the tab that is open. Gradio runs this as the page loads, with `trigger`; the event
// it sends stands in quotes: 'select', which opens the tab that the address names.
const ids = IDS;
const hashOf = id => id === ids[0] ? '' : `#${id.replace(/-tab$/, '')}`;
const named = () => ids.find(id => hashOf(id) === location.hash) ?? ids[0];
// A browser that is busy may tell of a tab once the next one is open, so the page itself is asked.
const shown = () => ids.find(id => document.getElementById(`panel-${id}`)?.offsetParent);
let going = location.hash ? named() : null;  // what the address opens; other tabs on the way do not count

window.infinityTabs = {
  named,
  opened: () => {
    requestAnimationFrame(fit);
    const id = shown();
    if (id === undefined) return;
    if (going !== null) { if (id === going) going = null; return; }
    const hash = hashOf(id);
    if (hash !== location.hash) history.pushState(null, '', location.pathname + location.search + hash);
  },
};
// Gradio fits a text's height as it is typed or put there, but not while its tab is hidden.
const fit = () => document.querySelectorAll('#tabs textarea').forEach(
  text => { if (text.offsetParent) text.dispatchEvent(new Event('input')) });
for (const press of ['pointerdown', 'keydown']) addEventListener(press, () => { going = null }, true);
addEventListener('popstate', () => { going = named(); trigger('select') });
if (going) trigger('select');
