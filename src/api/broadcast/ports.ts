/** What the routes of broadcasts need of the house below. */
export interface Broadcast {
  id: string;
  type: string;
  /** exact JSON text */
  data: string;
  /** that have it */
  tenants: number;
  created_at: Date;
  /** null: it is still being sent */
  ended_at: Date | null;
}

export interface BroadcastStore {
  insert(wish: { id: string; type: string; data: string }): Promise<Broadcast>;
  find(broadcastId: string): Promise<Broadcast | undefined>;
  /** Newest first. */
  list(page: { after?: string | undefined; limit: number }): Promise<Broadcast[]>;
}
