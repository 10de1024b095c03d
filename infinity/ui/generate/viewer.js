// The stage and the timeline of scales. All pictures are in `props.value`, so moving along the
// scales asks the server nothing. Texts are only ever set as text.
const stage = element.querySelector('.stage');
const strip = element.querySelector('.strip');
const slider = strip.querySelector('input[type=range]');
const play = strip.querySelector('.play');
const looks = [...strip.querySelectorAll('.looks button')];
const list = strip.querySelector('ol');
const growth = [...strip.querySelectorAll('.growth button')];
const heat = `url(#${element.querySelector('filter').id})`;
let chosen = null;  // a scale somebody went to; null follows the newest
let added = false;  // show what the scale added instead of the picture so far
let timer = null;
let shownRun = null;
let isFinished = false;

const make = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const put = (target, name, value) => {
  if (target.getAttribute(name) !== String(value)) target.setAttribute(name, value);
};
const say = (target, text) => { if (target.textContent !== text) target.textContent = text; };

const frames = () => (props.value && props.value.frames) || [];
const lastDrawn = () => frames().findLastIndex((frame) => frame.time);
const shownScale = () => {
  const last = lastDrawn();
  return chosen === null ? last : Math.max(0, Math.min(chosen, last));
};
const atEnd = () => shownScale() === lastDrawn();

// What the stage shows: the files once there are some, else the previews of a scale. A scale
// without pictures shows those of an earlier one.
function picturesNow() {
  const value = props.value;
  const found = atEnd() && value.pictures.length && !added ? value.pictures
    : picturesAt(shownScale()).map((source) => ({source}));
  return found.map((picture, i) => ({...picture, words: value.prompts[i] || ''}));
}
function picturesAt(index) {
  for (let i = index; i >= 0; i--) if (frames()[i].pictures.length) return frames()[i].pictures;
  return [];
}

// As many columns as make the pictures largest.
function fill() {
  const count = stage.querySelectorAll('.cell').length;
  const side = (columns) => Math.min(stage.clientWidth / columns,
    stage.clientHeight / Math.ceil(count / columns) * (props.value.aspect || 1));
  let best = 1;
  for (let columns = 2; columns <= count; columns++) if (side(columns) > side(best)) best = columns;
  stage.style.setProperty('--columns', best);
  stage.style.setProperty('--rows', Math.max(1, Math.ceil(count / best)));
  const width = stage.querySelector(count > 1 ? 'figure' : '.cell')?.offsetWidth ?? 0;
  stage.classList.toggle('is-small', width < 660);
  stage.classList.toggle('is-tiny', width < 260);
}

function drawStage() {
  const value = props.value;
  const pictures = picturesNow();
  if (!pictures.length) return;  // what was there stays until there is something new
  stage.classList.remove('is-empty');
  stage.classList.toggle('is-many', pictures.length > 1);
  stage.classList.toggle('is-added', added);
  stage.classList.toggle('is-completed', pictures.some((picture) => picture.caption));
  stage.classList.toggle('is-unfinished', value.unfinished);
  const cells = [...stage.querySelectorAll('.cell')];
  pictures.slice(cells.length).forEach((_, more) => {
    const figure = stage.appendChild(make('div', 'cell')).appendChild(make('figure'));
    const pixels = figure.appendChild(make('div', 'pixels'));
    pixels.append(make('img'), make('i', 'before'));
    const large = figure.appendChild(make('button', 'open'));
    large.type = 'button';
    large.onclick = () => window.infinityPictures.open(picturesNow(), cells.length + more);
  });
  cells.slice(pictures.length).forEach((cell) => cell.remove());
  const earlier = shownScale() > 0 ? picturesAt(shownScale() - 1) : [];
  stage.querySelectorAll('.cell').forEach((cell, i) => {
    const figure = cell.firstChild;
    figure.style.setProperty('--aspect', value.aspect);
    const image = figure.querySelector('img');
    const words = added ? `What scale ${shownScale() + 1} added` : pictures[i].words;
    put(image, 'src', pictures[i].source);
    put(image, 'alt', words);
    put(figure.querySelector('.open'), 'aria-label', `Open large: ${words}`);
    figure.querySelector('.pixels').style.filter = added ? heat : '';
    const before = figure.querySelector('.before');
    before.style.backgroundImage = added && earlier[i] ? `url("${earlier[i]}")` : '';
    caption(figure, pictures[i]);
  });
  fill();
}

function caption(figure, picture) {
  const old = figure.querySelector('figcaption');
  if (!picture.download) { if (old) old.remove(); return; }
  if (old && old.dataset.file === picture.source) return;
  if (old) old.remove();
  const made = figure.appendChild(make('figcaption'));
  made.dataset.file = picture.source;
  const seed = made.appendChild(make('span'));
  seed.append(make('b', '', 'Seed '), String(picture.seed));
  made.append(window.infinityPictures.bar(picture));
  if (picture.caption) made.append(drawnAs(picture.caption));
}

// The caption that the prompt was completed to; a press puts it into the prompt.
function drawnAs(text) {
  const button = make('button', 'drawn-as');
  button.type = 'button';
  button.title = `${text} – press to put this into the prompt`;
  button.append(make('b', '', 'Drawn as: '), text);
  button.onclick = () => {
    const prompt = document.querySelector('#prompt textarea');
    prompt.value = text;
    prompt.dispatchEvent(new Event('input', {bubbles: true}));
    prompt.focus();
  };
  return button;
}

function drawStrip() {
  const value = props.value;
  const all = frames();
  say(strip.querySelector('header p'), value.facts);
  put(list, 'style', `--wide:${value.wide};--narrow:${value.narrow}`);
  while (list.children.length > all.length) list.lastChild.remove();
  while (list.children.length < all.length) {
    const index = list.children.length;
    const button = list.appendChild(make('li')).appendChild(make('button'));
    button.type = 'button';
    button.append(make('span', 'thumb'), make('b'), make('span', 'bits'), make('span', 'time'));
    button.addEventListener('click', () => go(index));
  }
  const longest = Math.max(...all.map((frame) => Math.max(frame.height, frame.width)));
  all.forEach((frame, index) => {
    const item = list.children[index];
    const button = item.firstChild;
    const isShown = index === shownScale();
    const size = `${frame.width} × ${frame.height}`;
    item.className = frame.time ? 'drawn' : index === value.current ? 'current' : 'ahead';
    button.disabled = !frame.time;
    put(button, 'aria-current', isShown);
    put(button, 'aria-label', `Scale ${index + 1}: ${size} tokens, ${frame.bits} bits`
      + (frame.time ? `, ${frame.time}` : ', not drawn yet'));
    const [thumb, name, bits, time] = button.children;
    thumbnail(thumb, frame);
    say(name, size);
    say(bits, `${frame.bits} bits`);
    say(time, frame.time || '–');
  });
  list.classList.toggle('is-long', all.length > 9);
  growth.forEach((button) => { button.disabled = !value.pictures.length; });
  const last = lastDrawn();
  slider.max = all.length || 1;
  slider.disabled = play.disabled = last < 0;
  looks.forEach((button, i) => {
    put(button, 'aria-pressed', added === Boolean(i));
    button.disabled = last < 0;
  });
  const index = shownScale();
  slider.value = index + 1;
  const frame = all[index];
  const text = frame
    ? `Scale ${index + 1} of ${all.length} · ${frame.width} × ${frame.height} = ${frame.tokens} token${frame.tokens === '1' ? '' : 's'}`
      + ` · ${frame.bits} bits · ${frame.time}${frame.exact ? '' : ' · rough preview'}`
    : 'Every scale can be looked at here once it is drawn.';
  say(strip.querySelector('.fact'), text);
  put(slider, 'aria-valuetext', frame ? text : 'nothing drawn yet');
}

function thumbnail(thumb, frame) {
  const source = frame.pictures[0];
  const old = thumb.firstChild;
  if (source) {
    const image = old && old.tagName === 'IMG' ? old : make('img');
    put(image, 'src', source);
    put(image, 'alt', '');
    if (image !== old) thumb.replaceChildren(image);
    return;
  }
  const longest = Math.max(frame.height, frame.width);
  if (longest > 16) { thumb.replaceChildren(); return; }
  const grid = make('i');
  grid.style.cssText = `width:${100 * frame.width / longest}%;height:${100 * frame.height / longest}%;`
    + `background-size:${100 / frame.width}% ${100 / frame.height}%`;
  thumb.replaceChildren(grid);
}

function draw() {
  if (!props.value) return;
  if (props.value.run !== shownRun) { shownRun = props.value.run; isFinished = false; chosen = null; halt(); }
  if (!isFinished && props.value.pictures.length) {  // which no earlier scale stands in front of
    isFinished = true;
    chosen = null;
    added = false;
    halt();
  }
  drawStage();
  drawStrip();
}

function go(index) {
  halt();
  const last = lastDrawn();
  if (last < 0) return;
  chosen = Math.max(0, Math.min(index, last));
  if (chosen === last) chosen = null;
  draw();
}

function halt() {
  if (timer === null) return;
  clearInterval(timer);
  timer = null;
  play.setAttribute('aria-label', 'Play the scales');
  play.classList.remove('is-playing');
}

play.addEventListener('click', () => {
  if (timer !== null) { halt(); return; }
  chosen = 0;
  draw();
  play.setAttribute('aria-label', 'Stop playing');
  play.classList.add('is-playing');
  timer = setInterval(() => {
    if (chosen === null || chosen + 1 >= lastDrawn()) { chosen = null; halt(); } else chosen += 1;
    draw();
  }, 450);
});
slider.addEventListener('input', () => go(Number(slider.value) - 1));
looks.forEach((button, i) => button.addEventListener('click', () => {
  added = Boolean(i);
  draw();
}));
strip.addEventListener('keydown', (event) => {
  if (event.target === slider) return;
  const step = {ArrowLeft: shownScale() - 1, ArrowRight: shownScale() + 1, Home: 0,
    End: frames().length}[event.key];
  if (step === undefined) return;
  event.preventDefault();
  go(step);
  if (event.target.closest('li')) list.children[shownScale()].firstChild.focus();
});
growth.forEach((button) => button.addEventListener('click', () => trigger('grow', {kind: button.dataset.kind})));
new ResizeObserver(() => { if (props.value) fill(); }).observe(stage);
watch('value', draw);
draw();
