// @ts-check
// An axis of a grid as text, read and written as compare/text.py does. For node's tests (tests/js).

/** The setting and the values of an axis. @param {string} text @returns {[string, string]} */
export const axisOf = (text) => {
  const [, name, values] = text.match(/^([^=]*)=(.*)$/s) ?? [];
  return name === undefined ? ['', text.trim()] : [name.trim(), values.trim()];
};

/** The text of an axis, empty without a setting. @param {string} name @param {string} values */
export const axisText = (name, values) => (name ? `${name}=${values.trim()}` : '');

/** The values of a text, each as it stands there: one with a comma stands in quotes. @param {string} text */
export const valuesOf = (text) => (text.match(/(?:[^,"]|"[^"]*")+/g) ?? []).map((one) => one.trim()).filter(Boolean);

/** The text with a value more, or without it. @param {string} text @param {string} value */
export const withValue = (text, value) => {
  const written = value.includes(',') ? `"${value}"` : value, values = valuesOf(text);
  return (values.includes(written) ? values.filter((one) => one !== written) : [...values, written]).join(', ');
};
