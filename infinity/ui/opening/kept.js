// The settings of this tab of the browser, kept in its own storage. Runs as the page loads; `now` has
// the value of every setting of `rules`, in its order. Where storage is forbidden nothing is kept.
const rules = RULES, names = Object.keys(rules);
const NAME = `infinity-page:${location.pathname}`;
const MODEL = ['model', 'aspect_ratio', 'style'];
const GONE = '<p class="page-note" role="status">The model you had chosen is not on offer any more; '
  + 'its settings were put back, your prompt is kept.</p>';

const storage = use => { try { return use(sessionStorage) } catch { return undefined } };
const isObject = found => found !== null && typeof found === 'object' && !Array.isArray(found);
const parsed = text => { try { return JSON.parse(text) } catch { return null } };
const found = parsed(storage(s => s.getItem(NAME)) ?? null);
const before = isObject(found) ? found : {};
const values = isObject(before.values) ? before.values : {};

const first = now[names.indexOf('model')];
const isOffered = rules.model.choices.includes(values.model);
const isGone = values.model !== undefined && !isOffered;
const isOther = isOffered && values.model !== first;
const fits = (name, value) => {
  const {type, choices, least, most} = rules[name];
  return typeof value === type && (!choices || choices.includes(value))
    && (least === undefined || (value >= least && value <= most));
};
const put = (name, shown) => {
  const isLeft = (isGone && rules[name].of_model) || (isOther && MODEL.includes(name));
  return !isLeft && fits(name, values[name]) ? values[name] : shown;
};

// A reload keeps what came after the link; following a link again brings it back.
const way = performance.getEntriesByType('navigation')[0]?.type;
const isSeen = before.search === location.search && way !== 'navigate';
const state = {values, search: before.search, key: before.key};
let isBegun = false;
const write = more => storage(s => s.setItem(NAME, JSON.stringify({...state, ...more})));
const keep = shown => {
  const isComing = name => isOther && !isBegun && MODEL.includes(name);
  state.values = Object.fromEntries(
    names.map((name, i) => [name, isComing(name) ? values[name] : shown[i]]));
  write();
};
window.infinityKept = {
  visit: () => ({
    key: before.key, left: before.left === true, link: !isSeen,
    model: isOther ? Object.fromEntries(MODEL.map(name => [name, values[name]])) : null,
  }),
  begin: (visit, ...shown) => {
    Object.assign(state, {key: visit?.key, search: location.search});
    isBegun = true;
    keep(shown);
    if (visit?.is_back) window.infinityBack?.();
  },
  keep,
};
// Only a tab that was left has this mark, so a copy of an open one is known for a copy.
addEventListener('pagehide', () => write({left: true}));
addEventListener('pageshow', event => { if (event.persisted) location.reload() });
const shown = names.map((name, i) => put(name, now[i]));
keep(shown); // what was typed before this ran, too
const AS_IT_IS = {__type__: 'update'};
return [...shown.map((value, i) => value === now[i] ? AS_IT_IS : value), isGone ? GONE : AS_IT_IS];
