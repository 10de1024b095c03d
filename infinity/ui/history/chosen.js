// The chosen picture's buttons, and a press on it that opens it large. Gradio runs this when the tab is
// first opened, with `element` and `watch`.
function draw() {
  const about = element.querySelector('[data-picture]');
  if (!about) return;
  const picture = JSON.parse(about.dataset.picture);
  about.querySelector('.open').onclick = () => window.infinityPictures.open([picture], 0);
  if (picture.download) about.querySelector('.slot').replaceChildren(window.infinityPictures.bar(picture));
}
watch('value', draw);
draw();
