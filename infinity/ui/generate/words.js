// A press puts a word into the prompt: in place of the one that it corrects, else where the caret is.
// Gradio runs this as the page loads, with `element`.
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  const word = button?.querySelector('span:not(.tile)')?.textContent;
  const prompt = document.querySelector('#prompt textarea');
  if (!word || !prompt) return;
  const wrong = button.dataset.word;
  if (wrong) {
    const start = prompt.value.toLowerCase().indexOf(wrong.toLowerCase());
    if (start >= 0) prompt.setRangeText(word, start, start + wrong.length, 'end');
  } else {
    const {selectionStart: start, selectionEnd: end, value} = prompt;
    const before = start && !/\s$/.test(value.slice(0, start)) ? ' ' : '';
    const after = end < value.length && !/^[\s,.]/.test(value.slice(end)) ? ' ' : '';
    prompt.setRangeText(before + word + after, start, end, 'end');
  }
  prompt.dispatchEvent(new Event('input', {bubbles: true}));
});
