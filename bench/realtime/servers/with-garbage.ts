import { collectOnSignal } from '../garbage';

/** Loaded before the product's own code. */
collectOnSignal();
