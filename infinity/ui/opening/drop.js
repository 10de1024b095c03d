() => {
  const hasFiles = event => [...(event.dataTransfer?.types || [])].includes('Files');
  const isUpload = event => event.target.closest?.('[data-testid="file-upload"], .upload-container');
  let depth = 0;
  const show = on => document.body.classList.toggle('is-dropping', on);
  addEventListener('dragenter', event => { if (hasFiles(event)) { depth += 1; show(true) } });
  addEventListener('dragleave', event => { if (hasFiles(event) && --depth <= 0) { depth = 0; show(false) } });
  addEventListener('dragover', event => { if (hasFiles(event)) event.preventDefault() });
  addEventListener('drop', event => {
    depth = 0;
    show(false);
    if (!hasFiles(event) || isUpload(event)) return;
    event.preventDefault();
    const input = document.querySelector('#top input[type=file]');
    if (!input || !event.dataTransfer.files.length) return;
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event('change', {bubbles: true}));
  });
}
