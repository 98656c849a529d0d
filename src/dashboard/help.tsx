/** The list of keys. */
import { useEffect, useRef } from "preact/hooks";
import { isHelpOpen, SHORTCUTS } from "./shortcuts.ts";

export function HelpDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const isOpen = isHelpOpen.value;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => isHelpOpen.value = false}>
      <h2 id="help-title">Keys</h2>
      <dl class="keys">
        {SHORTCUTS.map(({ keys, does }) => [
          <dt key={`k${keys}`}>
            <kbd>{keys}</kbd>
          </dt>,
          <dd key={`d${keys}`}>{does}</dd>,
        ])}
      </dl>
      <p>
        On a chart: drag to zoom, Shift and drag to move, double click to follow the newest. With a wheel,
        hold Ctrl to zoom. A name in the legend hides its line.
      </p>
      <div class="actions">
        <button type="button" onClick={() => isHelpOpen.value = false}>Close</button>
      </div>
    </dialog>
  );
}
