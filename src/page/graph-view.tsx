/** The graph: a canvas that pans, zooms and walks by keys. */
import { select } from "d3-selection";
import { zoom, zoomIdentity } from "d3-zoom";
import type { D3ZoomEvent, ZoomBehavior } from "d3-zoom";
import type { RefObject } from "preact";
import { useEffect, useImperativeHandle, useRef } from "preact/hooks";
import { CARD } from "./layout.js";
import { paint } from "./paint.js";
import type { Look } from "./paint.js";
import { nodeAt } from "./scene.js";
import type { Scene, SceneNode } from "./scene.js";

/** What the page can ask of the view. */
export interface GraphHandle {
  /** Brings an event into view, without moving where it is in view already. */
  reveal(eventId: string): void;
  fit(): void;
  zoomBy(factor: number): void;
  focus(): void;
}

export interface GraphViewProps {
  readonly scene: Scene;
  readonly look: Look;
  readonly handle: RefObject<GraphHandle | null>;
  readonly label: string;
  /** `undefined` where there is nothing under the pointer. */
  readonly onChoose: (node: SceneNode | undefined, adds: boolean) => void;
  readonly onKey: (event: KeyboardEvent) => void;
}

const FARTHEST = 0.02;
const NEAREST = 2;
const MARGIN = 28;

interface Held {
  scene: Scene;
  look: Look;
  frame: number;
  transform: { readonly x: number; readonly y: number; readonly k: number };
  zoom: ZoomBehavior<HTMLCanvasElement, unknown> | undefined;
  onChoose: GraphViewProps["onChoose"];
}

export function GraphView(props: GraphViewProps) {
  const { scene, look, handle, label, onKey, onChoose } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const held = useRef<Held>({ scene, look, frame: 0, transform: zoomIdentity, zoom: undefined, onChoose });
  const own = held.current;
  own.look = look;
  own.onChoose = onChoose;

  const redraw = (): void => {
    if (own.frame !== 0) return;
    own.frame = requestAnimationFrame(() => {
      own.frame = 0;
      const element = canvas.current;
      const context = element?.getContext("2d");
      if (element === null || context === null || context === undefined) return;
      const { clientWidth: width, clientHeight: height } = element;
      const ratio = window.devicePixelRatio || 1;
      if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
        element.width = Math.round(width * ratio);
        element.height = Math.round(height * ratio);
      }
      paint(context, own.scene, own.look, { ...own.transform, width, height, ratio });
    });
  };

  const moveTo = (x: number, y: number, k: number): void => {
    const element = canvas.current;
    if (element === null || own.zoom === undefined) return;
    own.zoom.transform(select(element), zoomIdentity.translate(x, y).scale(k));
  };

  /** The whole width, from the first event on; the whole height too where cards can still be read then. */
  const fit = (): void => {
    const element = canvas.current;
    if (element === null) return;
    const { clientWidth: width, clientHeight: height } = element;
    const across = (width - 2 * MARGIN) / Math.max(own.scene.width, 1);
    const down = (height - 2 * MARGIN) / Math.max(own.scene.height, 1);
    const k = Math.max(Math.min(across, 1), FARTHEST);
    const whole = Math.min(k, down);
    const scale = whole >= 0.62 ? whole : Math.max(k, 0.62);
    moveTo((width - own.scene.width * scale) / 2, MARGIN, scale);
  };

  const reveal = (eventId: string): void => {
    const element = canvas.current;
    const node = own.scene.byId.get(eventId);
    if (element === null || node === undefined) return;
    const { clientWidth: width, clientHeight: height } = element;
    const { x, y, k } = own.transform;
    const scale = Math.max(k, 0.6);
    const [left, top] = [x + node.x * k, y + node.y * k];
    const [dx, dy] = [(CARD.width / 2) * k + 8, (CARD.height / 2) * k + 24];
    const isSeen = left > dx && left < width - dx && top > dy && top < height - dy && scale === k;
    if (isSeen) return;
    // In the middle, but with no more emptiness above the first event or below the last than must be.
    const highest = Math.min(MARGIN, height - MARGIN - own.scene.height * scale);
    const middle = Math.max(Math.min(height / 2 - node.y * scale, MARGIN), highest);
    const across = own.scene.width * scale <= width ? (width - own.scene.width * scale) / 2 : undefined;
    moveTo(across ?? width / 2 - node.x * scale, middle, scale);
  };

  useImperativeHandle(handle, () => ({
    reveal,
    fit,
    zoomBy: (factor) => {
      if (canvas.current !== null && own.zoom !== undefined) own.zoom.scaleBy(select(canvas.current), factor);
    },
    focus: () => canvas.current?.focus({ preventScroll: true }),
  }));

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return undefined;
    const behaviour = zoom<HTMLCanvasElement, unknown>()
      .scaleExtent([FARTHEST, NEAREST])
      .clickDistance(4)
      .filter((event: MouseEvent | WheelEvent) =>
        event.type === "wheel" ? event.ctrlKey || event.metaKey : event.button === 0 || event.button === 1,
      )
      .on("zoom", ({ transform }: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
        own.transform = transform;
        redraw();
      });
    own.zoom = behaviour;
    select(element).call(behaviour).on("dblclick.zoom", null);
    const wheel = (event: WheelEvent): void => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) return;
      const unit = event.deltaMode === 1 ? 20 : event.deltaMode === 2 ? 400 : 1;
      const [across, down] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      const { k } = own.transform;
      behaviour.translateBy(select(element), (-across * unit) / k, (-down * unit) / k);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    const sizes = new ResizeObserver(redraw);
    sizes.observe(element);
    return () => {
      element.removeEventListener("wheel", wheel);
      sizes.disconnect();
      cancelAnimationFrame(own.frame);
      own.frame = 0;
    };
  }, []);

  useEffect(() => {
    const isFirst = own.scene === scene;
    const place = own.scene.nodes.length;
    own.scene = scene;
    if (isFirst || place === 0) fit();
    redraw();
  }, [scene]);

  useEffect(redraw);

  const click = (event: MouseEvent): void => {
    const { x, y, k } = own.transform;
    const node = nodeAt(own.scene, (event.offsetX - x) / k, (event.offsetY - y) / k);
    own.onChoose(node, event.shiftKey || event.ctrlKey || event.metaKey);
  };

  return (
    <canvas
      ref={canvas}
      class="graph"
      tabIndex={0}
      role="application"
      aria-roledescription="graph of events"
      aria-label={label}
      aria-describedby="graph-hint"
      onClick={click}
      onKeyDown={onKey}
    />
  );
}
