"""solana-py as an application uses it.

    python client.py journey|watch URL WEBSOCKET_URL [FIELD=VALUE...]
    python client.py calls [call|unknown NAME URL]...

One line of JSON per check, as the scripts of the other clients print them.
"""

import asyncio
import json
import sys
import time

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.jsonrpc import JsonRpcRequest
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

SCENE, *WORDS = sys.argv[1:]


def say(name, **facts):
    print(json.dumps({"check": name, **facts}), flush=True)


def caught(error):
    """What an application has in its hands: the exception, and the response under it if there is one."""
    facts = {"name": type(error).__name__, "message": str(error)}
    answer = error.args[0] if error.args else None
    if hasattr(answer, "to_json"):
        facts["answer"] = json.loads(answer.to_json())
    cause = error.__cause__
    if cause is not None:
        facts["cause"] = str(cause)
        response = getattr(cause, "response", None)
        if response is not None:
            facts["status"] = response.status_code
            facts["body"] = response.text
    return facts


async def check(name, run):
    start = time.monotonic()
    try:
        facts = {"ok": await run()}
    except Exception as error:
        facts = {"error": caught(error)}
    say(name, **facts, milliseconds=round((time.monotonic() - start) * 1000))


async def confirmed(url, signature):
    """Waits by signatureSubscribe."""
    async with SolanaWsClient(url) as socket:
        await socket.signature_subscribe(signature=signature, commitment=Confirmed)
        notification = await asyncio.wait_for(socket.recv(), 20)
        return notification.result.value.err


async def pay(client, payer, to, lamports):
    latest = (await client.get_latest_blockhash(Confirmed)).value.blockhash
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports))
    message = MessageV0.try_compile(payer.pubkey(), [instruction], [], latest)
    return (await client.send_transaction(VersionedTransaction(message, [payer]))).value


async def journey(client, url):
    payer, other = Keypair(), Keypair().pubkey()

    async def balance(address):
        return (await client.get_balance(address, Confirmed)).value

    async def airdrop():
        err = await confirmed(url, (await client.request_airdrop(payer.pubkey(), 2_000_000_000)).value)
        return {"err": err, "balance": await balance(payer.pubkey())}

    async def transferred():
        signature = await pay(client, payer, other, 5_000_000)
        err = await confirmed(url, signature)
        status = (await client.get_signature_statuses([signature])).value[0]
        return {"err": err or status.err, "balance": await balance(other)}

    await check("airdrop", airdrop)
    await check("transfer", transferred)
    await check("logs", lambda: pay(client, payer, other, 9_000_000_000_000))


async def watch(url):
    address = Keypair().pubkey()
    async with SolanaWsClient(url) as socket:
        account = await socket.account_subscribe(pubkey=address, commitment=Confirmed, encoding="base64")
        await socket.slot_subscribe()
        say("watching", address=str(address))
        try:
            while True:
                notification = await socket.recv()
                if notification.subscription == account.subscription_id:
                    result = notification.result
                    say("account", lamports=result.value.lamports, slot=result.context.slot)
                else:
                    say("slot", slot=notification.result.slot)
        except Exception as error:
            say("closed", error=caught(error))


async def watch_until_dismissed(_, url):
    """Standard input ends when whoever started the script is done with it."""
    watching = asyncio.create_task(watch(url))
    await asyncio.to_thread(sys.stdin.read)
    watching.cancel()


async def balance(client):
    return (await client.get_balance(Pubkey.default())).value


CALLS = {
    "call": balance,
    "unknown": lambda client: client.send_rpc_request(JsonRpcRequest(method="getNothing"), int),
}


async def calls(words):
    for kind, name, url in zip(words[::3], words[1::3], words[2::3]):
        async with AsyncClient(url, timeout=30) as client:
            await check(name, lambda: CALLS[kind](client))


async def main():
    if SCENE == "calls":
        return await calls(WORDS)
    url, websocket, *fields = WORDS
    fields = dict(field.split("=", 1) for field in fields)
    async with AsyncClient(url, extra_headers=fields, timeout=30) as client:
        await {"journey": journey, "watch": watch_until_dismissed}[SCENE](client, websocket)


asyncio.run(main())
