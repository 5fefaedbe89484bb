// See config_table.h. Fields and defaults are those of published GPT-2 and Llama models, and of the families
// whose tensors are named like theirs.
#include "runtime/weights/config_table.h"

#include <algorithm>

namespace heed {
namespace {

using enum ConfigRule;

constexpr ConfigField kFields[] = {
    {"model_type", Type, "", R"("gpt2" "llama" "mistral" "qwen2")",
     "a family whose arithmetic is not known here"},

    // Sizes. What a name has in common with another of the same size comes first where both are given.
    {"vocab_size", Size, "vocab"},
    {"hidden_size", Size, "model"},
    {"n_embd", Size, "model"},
    {"d_model", Size, "model"},
    {"intermediate_size", Size, "hidden"},
    {"n_inner", Size, "hidden"},
    {"ffn_dim", Size, "hidden"},
    {"num_hidden_layers", Size, "layer"},
    {"n_layer", Size, "layer"},
    {"num_attention_heads", Size, "heads"},
    {"n_head", Size, "heads"},
    {"num_key_value_heads", Size, "kv"},
    {"num_kv_heads", Size, "kv"},
    {"head_dim", Size, "key"},
    {"max_position_embeddings", Size, "seq"},
    {"n_positions", Size, "seq"},
    {"n_ctx", Never},  // what n_positions says

    // The activation between the matrices of the MLP.
    {"hidden_act", Plain, "", R"("silu" "swish")", "the activation; the example program llama.heed has silu"},
    {"hidden_activation", Plain, "", R"("silu" "swish")",
     "the activation; the example program llama.heed has silu"},
    {"activation_function", Plain, "", R"("gelu_new" "gelu_pytorch_tanh" "gelu_fast")",
     "the activation; the example program gpt2.heed has gelu_new"},

    // Norms. A LayerNorm without a constant has the prelude's 1e-5.
    {"rms_norm_eps", Constant, "eps", "", "added before the root in norms"},
    {"layer_norm_epsilon", Constant, "eps", "1e-05", "added before the root in norms; standardize adds 1e-5"},
    {"layer_norm_eps", Constant, "eps", "1e-05", "added before the root in norms; standardize adds 1e-5"},
    {"layernorm_epsilon", Constant, "eps", "1e-05", "added before the root in norms; standardize adds 1e-5"},
    {"norm_epsilon", Constant, "eps", "1e-05", "added before the root in norms; standardize adds 1e-5"},
    {"norm_eps", Constant, "eps", "1e-05", "added before the root in norms; standardize adds 1e-5"},

    // Positions.
    {"rope_theta", Constant, "theta", "", "the base of rotary frequencies"},
    {"rotary_emb_base", Constant, "theta", "", "the base of rotary frequencies"},
    {"rope_scaling", Rotary, "", "", "how rotary frequencies are scaled"},
    {"rope_parameters", Rotary, "", "", "how rotary frequencies are made"},
    {"partial_rotary_factor", Plain, "", "1", "the part of a key that is rotated"},
    {"rotary_pct", Plain, "", "1", "the part of a key that is rotated"},
    {"rotary_dim", Plain, "", "key", "how much of a key is rotated"},
    {"rope_interleaved", Plain, "", "false", "neighbours are rotated, not halves"},
    {"rope_local_base_freq", Constant, "theta_local", "", "the base of rotary frequencies in other layers"},
    {"no_rope_layers", Plain, "", "[]", "layers without rotary positions"},
    {"no_rope_layer_interval", Plain, "", "0", "layers without rotary positions"},
    {"original_max_position_embeddings", Never},  // of scaled frequencies, which are said themselves
    {"position_embedding_type", Plain, "", R"("absolute" "rope")", "how positions are told"},
    {"alibi", Plain, "", "false", "scores fall with the distance"},

    // Scores of attention, and who sees whom.
    {"scale_attn_weights", Plain, "", "true", "false: scores are not divided by the root of the key's width"},
    {"scale_attn_by_inverse_layer_idx", Plain, "", "false",
     "true: scores are divided by the number of the layer, from 1"},
    {"reorder_and_upcast_attn", Never},  // the same numbers, in another precision
    {"attention_multiplier", Plain, "", "1/sqrt(key)", "scores are multiplied by it"},
    {"query_pre_attn_scalar", Plain, "", "key", "scores are divided by its root"},
    {"attn_logit_softcapping", Plain, "", "", "scores are capped softly"},
    {"clip_qkv", Plain, "", "", "queries, keys and values are clipped"},
    {"use_qk_norm", Parameter, "q_norm.weight", "false", "queries and keys are normalized"},
    {"qk_layernorm", Parameter, "q_layernorm.weight", "false", "queries and keys are normalized"},
    {"sliding_window", Window, "window", "", "a position sees only so many, itself included"},
    {"use_sliding_window", Never},  // read with sliding_window, as are the next three
    {"max_window_layers", Never},
    {"layer_types", Never},
    {"sliding_window_pattern", Never},
    {"attention_chunk_size", Window, "chunk", "", "a position sees only its chunk"},
    {"use_bidirectional_attention", Plain, "", "false", "positions see later ones"},
    {"is_decoder", Never},  // a model that generates is causal whatever it says
    {"is_encoder_decoder", Plain, "", "false", "an encoder besides the decoder"},
    {"add_cross_attention", Plain, "", "false", "layers also attend to another text"},
    {"cross_attention_hidden_size", Plain, "", "", "layers also attend to another text"},
    {"pruned_heads", Plain, "", "{}", "heads that are left out"},

    // Factors.
    {"embedding_multiplier", Plain, "", "1", "the embedding is multiplied by it"},
    {"residual_multiplier", Plain, "", "1", "what a layer adds is multiplied by it"},
    {"logits_scaling", Plain, "", "1", "logits are divided by it"},
    {"logit_scale", Plain, "", "1", "logits are multiplied by it"},
    {"final_logit_softcapping", Plain, "", "", "logits are capped softly"},
    {"scale_emb", Plain, "", "1", "the embedding is multiplied by it"},
    {"scale_embedding", Plain, "", "false", "the embedding is multiplied by the root of its width"},
    {"scale_depth", Plain, "", "sqrt(layer)",
     "what a layer adds is multiplied by it over the root of the depth"},
    {"dim_model_base", Plain, "", "model", "logits are divided by the width over it"},

    // How a layer is put together.
    {"use_parallel_residual", Plain, "", "false", "attention and MLP read the same input"},
    {"parallel_attn", Plain, "", "false", "attention and MLP read the same input"},
    {"attention_bias", Parameter, "_proj.bias", "false", "attention adds biases"},
    {"qkv_bias", Parameter, "_proj.bias", "false", "attention adds biases"},
    {"mlp_bias", Parameter, "_proj.bias", "false", "the MLP adds biases"},
    {"use_bias", Parameter, ".bias", "false", "biases are added"},
    {"bias", Parameter, ".bias", "false", "biases are added"},
    {"tie_word_embeddings", Tied},
    {"quantization_config", Plain, "", "", "the numbers of the weights are coded"},
    {"auto_map", Plain, "", "", "the model is computed by code of its own"},

    // Which tokens, and how they are chosen.
    {"bos_token_id", Tokens},
    {"eos_token_id", Tokens},
    {"decoder_start_token_id", Tokens},
    {"pad_token_id", Never},
    {"unk_token_id", Never},
    {"sep_token_id", Never},
    {"cls_token_id", Never},
    {"mask_token_id", Never},
    {"do_sample", Choice, "", "false"},
    {"temperature", Choice, "--temperature", "1"},
    {"top_k", Choice, "--top-k", "50 0"},
    {"top_p", Choice, "--top-p", "1"},
    {"min_p", Choice, "", ""},
    {"typical_p", Choice, "", "1"},
    {"epsilon_cutoff", Choice, "", "0"},
    {"eta_cutoff", Choice, "", "0"},
    {"num_beams", Choice, "--beam", "1"},
    {"num_beam_groups", Choice, "", "1"},
    {"diversity_penalty", Choice, "", "0"},
    {"penalty_alpha", Choice, "", ""},
    {"length_penalty", Choice, "", "1"},
    {"repetition_penalty", Choice, "--repetition-penalty", "1"},
    {"encoder_repetition_penalty", Choice, "", "1"},
    {"no_repeat_ngram_size", Choice, "", "0"},
    {"encoder_no_repeat_ngram_size", Choice, "", "0"},
    {"early_stopping", Choice, "", "false true"},
    {"max_length", Choice, "", "20"},
    {"max_new_tokens", Choice, "--max-length", ""},
    {"min_length", Choice, "", "0"},
    {"min_new_tokens", Choice, "", "0"},
    {"bad_words_ids", Choice, "", "[]"},
    {"force_words_ids", Choice, "", "[]"},
    {"forced_bos_token_id", Choice, "", ""},
    {"forced_eos_token_id", Choice, "", ""},
    {"forced_decoder_ids", Choice, "", "[]"},
    {"suppress_tokens", Choice, "", "[]"},
    {"begin_suppress_tokens", Choice, "", "[]"},
    {"sequence_bias", Choice, "", "{}"},
    {"exponential_decay_length_penalty", Choice, "", ""},
    {"renormalize_logits", Choice, "", "false"},
    {"guidance_scale", Choice, "", "1"},
    {"stop_strings", Choice, "", ""},
    {"num_return_sequences", Never},
    {"task_specific_params", Never},  // of tasks that are asked for by name
    {"prefix", Never},
    {"remove_invalid_values", Never},
    {"max_time", Never},
    {"cache_implementation", Never},

    // Names, versions, types, and what other programs do with a model.
    {"architectures", Never},
    {"torch_dtype", Never},
    {"dtype", Never},
    {"transformers_version", Never},
    {"_from_model_config", Never},
    {"_name_or_path", Never},
    {"name_or_path", Never},
    {"_commit_hash", Never},
    {"_attn_implementation", Never},
    {"attn_implementation", Never},
    {"_attn_implementation_autoset", Never},
    {"use_flash_attn", Never},
    {"use_cache", Never},
    {"pretraining_tp", Never},  // the same products in parts
    {"chunk_size_feed_forward", Never},
    {"gradient_checkpointing", Never},
    {"torchscript", Never},
    {"use_bfloat16", Never},
    {"tf_legacy_loss", Never},
    {"return_dict", Never},
    {"return_dict_in_generate", Never},
    {"use_return_dict", Never},
    {"output_attentions", Never},
    {"output_hidden_states", Never},
    {"output_scores", Never},
    {"output_past", Never},
    {"tokenizer_class", Never},
    {"finetuning_task", Never},
    {"unsloth_version", Never},
    {"unsloth_fixed", Never},

    // Training, and heads of classifiers.
    {"initializer_range", Never},
    {"initializer_factor", Never},
    {"init_std", Never},
    {"attention_dropout", Never},
    {"attn_pdrop", Never},
    {"attn_dropout", Never},
    {"attention_probs_dropout_prob", Never},
    {"embd_pdrop", Never},
    {"embed_dropout", Never},
    {"resid_pdrop", Never},
    {"resid_dropout", Never},
    {"hidden_dropout", Never},
    {"hidden_dropout_prob", Never},
    {"activation_dropout", Never},
    {"classifier_dropout", Never},
    {"classifier_dropout_prob", Never},
    {"dropout", Never},
    {"dropout_rate", Never},
    {"layerdrop", Never},
    {"encoder_layerdrop", Never},
    {"decoder_layerdrop", Never},
    {"summary_type", Never},
    {"summary_use_proj", Never},
    {"summary_activation", Never},
    {"summary_first_dropout", Never},
    {"summary_proj_to_labels", Never},
    {"id2label", Never},
    {"label2id", Never},
    {"num_labels", Never},
    {"problem_type", Never},

    // What shapes tell, of encoders and decoders.
    {"encoder_layers", Never},
    {"decoder_layers", Never},
    {"encoder_ffn_dim", Never},
    {"decoder_ffn_dim", Never},
    {"encoder_attention_heads", Size, "heads"},
    {"decoder_attention_heads", Size, "heads"},
};

constexpr ConfigDefault kDefaults[] = {
    {"gpt2", "n_head", "12"},
    {"gpt2", "layer_norm_epsilon", "1e-05"},
    {"gpt2", "tie_word_embeddings", "true"},
    {"gpt2", "bos_token_id", "50256"},
    {"gpt2", "eos_token_id", "50256"},
    {"llama", "num_attention_heads", "32"},
    {"llama", "rms_norm_eps", "1e-06"},
    {"llama", "rope_theta", "10000"},
    {"llama", "tie_word_embeddings", "false"},
    {"llama", "bos_token_id", "1"},
    {"llama", "eos_token_id", "2"},
    {"mistral", "num_attention_heads", "32"},
    {"mistral", "num_key_value_heads", "8"},
    {"mistral", "rms_norm_eps", "1e-06"},
    {"mistral", "rope_theta", "10000"},
    {"mistral", "sliding_window", "4096"},
    {"mistral", "tie_word_embeddings", "false"},
    {"mistral", "bos_token_id", "1"},
    {"mistral", "eos_token_id", "2"},
    {"qwen2", "num_attention_heads", "32"},
    {"qwen2", "num_key_value_heads", "32"},
    {"qwen2", "rms_norm_eps", "1e-06"},
    {"qwen2", "rope_theta", "10000"},
    {"qwen2", "use_sliding_window", "false"},
    {"qwen2", "sliding_window", "4096"},
    {"qwen2", "max_window_layers", "28"},
    {"qwen2", "tie_word_embeddings", "false"},
};

}  // namespace

std::span<const ConfigField> ConfigFields() { return kFields; }

const ConfigField* FindConfigField(std::string_view name) {
  const auto* found = std::ranges::find_if(kFields, [&](const ConfigField& row) { return row.name == name; });
  return found == std::end(kFields) ? nullptr : found;
}

std::span<const ConfigDefault> ConfigDefaults() { return kDefaults; }

}  // namespace heed
