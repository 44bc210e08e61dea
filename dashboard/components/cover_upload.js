// What stands in the field is not published once another picture was chosen. Streamlit keeps it until the other one has arrived. To
// remove it at once would have the page drawn anew at that moment, and Streamlit drops the server's word of where the other one goes.
const FIELD = '[data-testid="stFileUploader"]';
const FILE = '[data-testid="stFileChip"]';
const ARRIVING = '[data-testid="stFileChipIconSpinner"]';
const PUBLISH = '[class*="st-key-upload-cover-"] button';
const CHOSEN = ["change", "drop"];
const PATIENCE = 10_000; // milliseconds: a field that still has the one before by then has lost the other

export default function () {
  let before = null, until = 0;
  const choose = ({ target }) => {
    const field = target.closest?.(FIELD);
    if (field) [before, until] = [field.querySelector(FILE), performance.now() + PATIENCE];
  };
  const isAlone = (file) => file?.isConnected && file.closest(FIELD).querySelectorAll(FILE).length === 1; // beside it: one that was refused
  const publish = (event) => {
    const isBehind = document.querySelector(`${FIELD} ${ARRIVING}`) || (isAlone(before) && performance.now() < until);
    if (isBehind && event.target.closest?.(PUBLISH)) event.stopImmediatePropagation();
  };
  for (const event of CHOSEN) document.addEventListener(event, choose, true); // before the field itself hears it
  document.addEventListener("click", publish, true);
  return () => {
    for (const event of CHOSEN) document.removeEventListener(event, choose, true);
    document.removeEventListener("click", publish, true);
  };
}
