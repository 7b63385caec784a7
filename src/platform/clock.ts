/** Time and new ids, handed in wherever they are needed so that rules stay pure and tests can decide. */
import { v7 as uuidv7 } from 'uuid';
import { encodeId, type IdKind } from '../domain/ids';

export interface Clock {
  now(): Date;
}

export const systemClock: Clock = { now: () => new Date() };

export type NewId = (kind: IdKind) => string;

/** A new public id; ids of one process only grow. */
export const newId: NewId = (kind) => encodeId(kind, uuidv7());
