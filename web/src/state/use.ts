import { useEffect, useReducer, useRef } from "preact/hooks";
import type { StoreApi } from "zustand/vanilla";

/** Shows a part of a store, and renders again when that part changes. */
export function useStore<State, Part>(
  store: StoreApi<State>,
  select: (state: State) => Part,
): Part {
  const [, render] = useReducer((count: number) => count + 1, 0);
  const part = select(store.getState());
  const latest = useRef({ part, select });
  latest.current = { part, select };
  useEffect(() => {
    const check = () => {
      const { part, select } = latest.current;
      if (!Object.is(select(store.getState()), part)) render(undefined);
    };
    // What changed between rendering and now.
    check();
    return store.subscribe(check);
  }, [store]);
  return part;
}
