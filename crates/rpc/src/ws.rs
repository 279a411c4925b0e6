//! WebSocket RPC that the gateway terminates itself: frames, subscriptions, the streams behind them.
