// Gradio gives every radio of a group a name of its own, so the browser does not know that they are
// one choice: the arrow keys move through it here, as they do in any other group of radios.
if (!window.radioKeys) {
  window.radioKeys = true;
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  document.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || !event.target.matches?.("fieldset input[type=radio]")) return;
    const radios = [...event.target.closest("fieldset").querySelectorAll("input[type=radio]")];
    const next = radios.at((radios.indexOf(event.target) + step) % radios.length);
    event.preventDefault();
    next.focus();
    next.click();
  });
}
