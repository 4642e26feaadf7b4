"""A bare ``llama_decode`` loop: what the machine gives without worker, turns, records or text.

Reads lines ``PROMPT_TOKENS NEW_TOKENS`` from standard input and answers each with decode tokens/s.

    python -m benchmarks.bare_loop model.gguf 2
"""

import sys
import time

import llama_cpp as C

from evaluation.engine.llama import CHUNK_TOKENS


def main() -> None:
    path, threads = sys.argv[1], int(sys.argv[2])
    silence = C.llama_log_callback(lambda level, text, data: None)
    C.llama_log_set(silence, None)
    C.llama_backend_init()
    model = C.llama_model_load_from_file(path.encode(), C.llama_model_default_params())
    params = C.llama_context_default_params()
    params.n_ctx = 2048
    params.n_batch = params.n_ubatch = CHUNK_TOKENS
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = C.LLAMA_FLASH_ATTN_TYPE_ENABLED
    context = C.llama_init_from_model(model, params)
    memory = C.llama_get_memory(context)
    for line in sys.stdin:
        prompt_tokens, new_tokens = map(int, line.split())
        sampler = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        C.llama_sampler_chain_add(sampler, C.llama_sampler_init_top_k(40))
        C.llama_sampler_chain_add(sampler, C.llama_sampler_init_top_p(0.95, 1))
        C.llama_sampler_chain_add(sampler, C.llama_sampler_init_min_p(0.05, 1))
        C.llama_sampler_chain_add(sampler, C.llama_sampler_init_temp(0.7))
        C.llama_sampler_chain_add(sampler, C.llama_sampler_init_dist(1))
        C.llama_memory_clear(memory, False)
        prompt = (C.llama_token * CHUNK_TOKENS)(*range(1000, 1000 + CHUNK_TOKENS))
        for start in range(0, prompt_tokens, CHUNK_TOKENS):
            C.llama_decode(context, C.llama_batch_get_one(prompt, min(CHUNK_TOKENS, prompt_tokens - start)))
        token = (C.llama_token * 1)(C.llama_sampler_sample(sampler, context, -1))
        began = time.monotonic()
        for _ in range(new_tokens - 1):
            C.llama_decode(context, C.llama_batch_get_one(token, 1))
            token[0] = C.llama_sampler_sample(sampler, context, -1)
        print((new_tokens - 1) / (time.monotonic() - began), flush=True)
        C.llama_sampler_free(sampler)


if __name__ == "__main__":
    main()
