// The bits of a token, and what a flipped one did. Both tell by the event 'select'.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (!button) return;
  const section = button.closest('section');
  const numbers = (dataset) => Object.fromEntries(Object.entries(dataset).map(([name, text]) => [name, Number(text)]));
  if (button.dataset.do === 'flip') {
    const {bit} = button.dataset, {scale, row, column} = section.dataset;
    trigger('select', numbers({scale, row, column, bit}));
  } else if (button.dataset.do === 'compare') {
    trigger('select', {});
  } else {
    const isSorted = button.getAttribute('aria-pressed') !== 'true', list = section.querySelector('ol');
    const order = (item) => isSorted ? Number(item.dataset.sure) : Number(item.firstElementChild.dataset.bit);
    button.setAttribute('aria-pressed', isSorted);
    list.append(...[...list.children].sort((one, other) => order(one) - order(other)));
  }
});
