// The address of the tab that is open. Gradio runs this as the page loads, with `trigger`; the event
// it sends stands in quotes: 'select', which opens the tab that the address names.
const ids = IDS;
const hashOf = id => id === ids[0] ? '' : `#${id.replace(/-tab$/, '')}`;
let isOpening = location.hash !== '';

window.infinityTabs = {
  named: () => ids.find(id => hashOf(id) === location.hash) ?? ids[0],
  opened: id => {
    if (isOpening && id !== window.infinityTabs.named()) return;
    isOpening = false;
    const hash = hashOf(id);
    if (hash !== location.hash) history.pushState(null, '', location.pathname + location.search + hash);
  },
};
addEventListener('popstate', () => trigger('select'));
if (isOpening) trigger('select');
