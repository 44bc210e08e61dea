// What is chosen takes the place of what stands in the field at once. Streamlit keeps the one before until the server has said where the
// new one goes; until then, to publish would publish that.
const FIELD = '[data-testid="stFileUploader"]';
const REMOVE = '[data-testid="stFileChipDeleteBtn"] button';
const CHOSEN = ["change", "drop"];

const empty = ({ target }) => target.closest?.(FIELD)?.querySelectorAll(REMOVE).forEach((button) => button.click());

export default function () {
  for (const event of CHOSEN) document.addEventListener(event, empty, true); // before the field itself hears it
  return () => CHOSEN.forEach((event) => document.removeEventListener(event, empty, true));
}
