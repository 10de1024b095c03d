// Finished pictures, the same wherever they are shown: `window.infinityPictures` gives each its row of
// buttons, opens it large, compares two. Gradio runs this as the page loads, with `element` and
// `trigger`; the events it sends stand in quotes: 'vary', 'edit', 'inside',
// 'tokens', 'use'.
const ACTIONS = BUTTONS;  // name -> [title, what it does], of the tabs that this page has
const SHAPES = {
  vary: 'M2 5h3l6 6h3M12 9l2 2-2 2M2 11h3l1.5-1.5M9.5 6.5 11 5h3M12 3l2 2-2 2',
  edit: 'm3 13 1-3.5L11 2.5 13.5 5l-7 7L3 13Z',
  inside: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.5 10.5 14 14',
  tokens: 'M2.5 2.5h11v11h-11zM2.5 8h11M8 2.5v11',
  use: 'M6 2 4.5 14M11.5 2 10 14M2.5 5.5h12M1.5 10.5h12',
  compare: 'M8 1v14M2 3.5h12v9H2z',
  star: 'm8 1.8 1.9 4 4.4.5-3.2 3 .8 4.3L8 11.5l-3.9 2.1.8-4.3-3.2-3 4.4-.5z',
};
const make = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const idOf = picture => decodeURIComponent(picture.source).split('/').slice(-2).join('/');
const titled = picture => `“${picture.words}”` + (picture.seed === undefined ? '' : `, seed ${picture.seed}`);

function button(name, title, about) {
  const made = make('button', `picture-${name}`);
  made.type = 'button';
  made.title = about;
  made.setAttribute('aria-label', title);
  const icon = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  icon.setAttribute('viewBox', '0 0 16 16');
  icon.setAttribute('aria-hidden', 'true');
  icon.appendChild(document.createElementNS(icon.namespaceURI, 'path')).setAttribute('d', SHAPES[name]);
  made.append(icon, make('span', '', title));
  return made;
}

// Buttons of one finished picture: {source, download, seed, words}.
function bar(picture) {
  const row = make('div', 'picture-bar');
  for (const [name, [title, about]] of Object.entries(ACTIONS)) {
    const act = row.appendChild(button(name, title, about));
    act.onclick = () => { dialog.close(); trigger(name, {file: idOf(picture), seed: picture.seed}) };
  }
  row.appendChild(button('compare', 'Compare', 'Lay it beside another picture, behind a slider'))
    .onclick = () => compare(picture);
  const star = row.appendChild(button('star', 'Star', 'Mark it in the history of this browser'));
  const mark = () => star.setAttribute('aria-pressed', window.infinityHistory.isStarred(idOf(picture)));
  star.onclick = () => {
    window.infinityHistory.star(idOf(picture));
    row.dispatchEvent(new Event('star', {bubbles: true}));
    mark();
  };
  mark();
  const link = row.appendChild(make('a'));
  link.append(make('b', '', 'Download '), 'PNG');
  link.href = picture.source;
  link.download = picture.download;
  link.title = 'The PNG carries the prompt, the seed and all settings';
  return row;
}

// One picture over the whole window, the arrow keys go through all, Escape closes.
const dialog = (document.querySelector('.gradio-container') ?? document.body).appendChild(make('dialog', 'large'));
dialog.innerHTML = '<header><p class="words"></p><span class="count"></span>'
  + '<button type="button" class="close" aria-label="Close">×</button></header>'
  + '<div class="both"><img class="one"><img class="two"></div>'
  + '<input type="range" min="0" max="100" aria-label="Between the two pictures">'
  + '<button type="button" class="step back" aria-label="Previous picture">‹</button>'
  + '<button type="button" class="step on" aria-label="Next picture">›</button><footer></footer>';
const part = name => dialog.querySelector(name);
let all = [], now = 0, left = null;

function show(index) {
  now = (index + all.length) % all.length;
  const picture = all[now];
  dialog.classList.remove('is-two');
  dialog.classList.toggle('is-single', all.length < 2);
  dialog.setAttribute('aria-label', titled(picture));
  part('.words').textContent = picture.words;
  part('.count').textContent = [picture.seed === undefined ? '' : `Seed ${picture.seed}`,
    all.length > 1 ? `${now + 1} of ${all.length}` : ''].filter(Boolean).join(' · ');
  Object.assign(part('.one'), {src: picture.source, alt: picture.words, style: ''});
  part('footer').replaceChildren(...(picture.download ? [bar(picture)] : []));
}
function open(pictures, index) {
  all = pictures;
  show(index);
  if (!dialog.open) dialog.showModal();
}
function compare(picture) {
  if (left === null || left.source === picture.source) {
    left = left === null ? picture : null;
    dialog.close();
    said.replaceChildren(...(left ? [`Comparing ${titled(picture)}: now press Compare on another picture. `, end] : []));
    return;
  }
  dialog.classList.add('is-two');
  Object.assign(part('.one'), {src: picture.source, alt: `Right: ${titled(picture)}`});
  Object.assign(part('.two'), {src: left.source, alt: `Left: ${titled(left)}`});
  part('.words').textContent = `Left: ${titled(left)}. Right: ${titled(picture)}.`;
  part('.count').textContent = '';
  part('footer').replaceChildren();
  slide(part('input').value = 50);
  left = null;
  said.replaceChildren();
  if (!dialog.open) dialog.showModal();
  part('input').focus();
}
const slide = share => { part('.two').style.clipPath = `inset(0 ${100 - share}% 0 0)` };
const said = dialog.parentNode.appendChild(make('p', 'pictures-said'));
said.setAttribute('role', 'status');
const end = make('button', 'plain-button', 'Stop comparing');
end.type = 'button';
end.onclick = () => compare(left);

part('input').oninput = event => slide(event.target.value);
part('.close').onclick = () => dialog.close();
part('.back').onclick = () => show(now - 1);
part('.on').onclick = () => show(now + 1);
dialog.onclick = event => { if (event.target === dialog || event.target.matches('.both')) dialog.close() };
dialog.onkeydown = event => {
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (!step || event.target === part('input') || dialog.matches('.is-two, .is-single')) return;
  event.preventDefault();
  show(now + step);
};
window.infinityPictures = {bar, open};
