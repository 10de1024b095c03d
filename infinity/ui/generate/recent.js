// The newest pictures of this browser's history in one line, each of which opens large. Gradio runs this
// as the page loads, with `element`.
const MOST = 40;
const line = element.querySelector('.recent');

function draw() {
  const kept = window.infinityHistory;
  if (!kept) return;  // which tells once it is there
  const entries = kept.read().slice(0, MOST);
  const pictures = entries.map(kept.picture);
  line.replaceChildren(...entries.map((entry, index) => {
    const button = document.createElement('button'), image = document.createElement('img');
    button.type = 'button';
    button.title = entry.words;
    button.setAttribute('aria-label', `Open large: ${entry.words}`);
    image.src = entry.thumbnail.startsWith('data:image/webp;base64,') ? entry.thumbnail : '';
    image.alt = '';
    button.append(image);
    button.onclick = () => window.infinityPictures.open(pictures, index);
    return button;
  }));
  if (!entries.length) line.append(Object.assign(document.createElement('p'), {textContent: 'Your newest pictures stay in reach here.'}));
}
window.addEventListener('infinity-history-changed', draw);
draw();
