"""Voice swap: a recording is recognised, punctuated, turned into a spectrogram, and said in another voice.

    python examples/voice_swap.py talk.wav swapped.wav

The program of the article that introduced NeMo's three collections, but for the names of the models.
"""

import sys

import soundfile

import seaspeak.collections.asr as nemo_asr
import seaspeak.collections.nlp as nemo_nlp
import seaspeak.collections.tts as nemo_tts

# or NVIDIA's: EncDecCTCModel "stt_en_quartznet15x5", Tacotron2Model, WaveGlowModel; or restore_from("file.nemo")
recogniser = nemo_asr.models.ASRModel.from_pretrained("seaspeak_en_recogniser")
punctuation = nemo_nlp.models.PunctuationCapitalizationModel.from_pretrained("seaspeak_en_punctuation")
spectrogram_generator = nemo_tts.models.SpectrogramGenerator.from_pretrained("seaspeak_en_fastpitch")
vocoder = nemo_tts.models.Vocoder.from_pretrained("seaspeak_en_hifigan")

raw_text = recogniser.transcribe([sys.argv[1]])[0]
text = punctuation.add_punctuation_capitalization([raw_text])[0]
spectrogram = spectrogram_generator.generate_spectrogram(tokens=spectrogram_generator.parse(text))
audio = vocoder.convert_spectrogram_to_audio(spec=spectrogram)

print(text)
soundfile.write(sys.argv[2], audio[0].cpu().numpy(), 22050)
