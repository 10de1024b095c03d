// The address of the tab that is open. Gradio runs this as the page loads, with `trigger`; the event
// it sends stands in quotes: 'select', which opens the tab that the address names.
const ids = IDS;
const hashOf = id => id === ids[0] ? '' : `#${id.replace(/-tab$/, '')}`;
let isOpening = location.hash !== '';

window.infinityTabs = {
  named: () => ids.find(id => hashOf(id) === location.hash) ?? ids[0],
  opened: id => {
    requestAnimationFrame(fit);
    if (isOpening && id !== window.infinityTabs.named()) return;
    const hash = hashOf(id), change = isOpening ? 'replaceState' : 'pushState';
    if (hash !== location.hash) history[change](null, '', location.pathname + location.search + hash);
    isOpening = false;
  },
};
// Gradio fits a text's height as it is typed or put there, but not while its tab is hidden.
const fit = () => document.querySelectorAll('#tabs textarea').forEach(
  text => { if (text.offsetParent) text.dispatchEvent(new Event('input')) });
addEventListener('popstate', () => trigger('select'));
if (isOpening) trigger('select');
