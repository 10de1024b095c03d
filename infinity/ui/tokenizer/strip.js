// Tells the server which picture is to stand beside the original; the event it sends stands in
// quotes: 'select'.
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-scale]');
  if (!button) return;
  element.closest('#tokenizer-work').querySelectorAll('button[data-scale]').forEach(
    other => other.setAttribute('aria-pressed', String(other === button)));
  trigger('select', {scale: Number(button.dataset.scale), format: button.dataset.format});
});
